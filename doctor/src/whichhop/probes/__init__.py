"""
The probes: files that are sent into a container and run there, with the standard library only.

They are read as package data, wherever this package is installed.
"""

from importlib.resources import files


def source(name: str) -> str:
    """Return the source of a probe, by file name."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
