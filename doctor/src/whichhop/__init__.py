"""Check a stack of nginx, uWSGI and Django hop by hop: which hop is broken, why, and how to fix it."""

__version__ = "1.0.0"
