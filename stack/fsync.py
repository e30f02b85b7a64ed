"""Files that are still there after a power cut: the kernel keeps what is written for half a minute."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def sync(path: Path) -> None:
    """Return when the disk has a file's content, or the names in a directory; fsync(2)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(path: Path, text: str, put: Callable[[str, Path], None]) -> None:
    """
    Write ``text`` beside ``path``, readable by its owner only, and ``put`` it there, whole or not at all.

    Raise what ``put`` raises: ``os.link`` never replaces a file that is there, ``os.replace`` does.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        sync(Path(temporary))
        put(temporary, path)
        sync(path.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)
