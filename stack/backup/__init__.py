"""Back up all data of a site to one file, and restore it."""
