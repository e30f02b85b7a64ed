"""The target of the checks: a Compose project, its services with nginx and uWSGI, and the link between them."""
