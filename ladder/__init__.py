"""The tutorial's ladder: from "uWSGI says hello" to the stack itself, climbed, measured and written down."""
