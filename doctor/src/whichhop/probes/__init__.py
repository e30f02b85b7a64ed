"""
What is sent into a container and run there: files with nothing but a standard library in them.

They are read as data, wherever this package is installed.
"""

from importlib.resources import files


def source(name: str) -> str:
    """Return the text of a probe, by its file's name."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
