"""Walks a stack of nginx, uWSGI and Django hop by hop: which one is broken, why, and what to do."""

__version__ = "1.0.0"
