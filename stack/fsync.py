"""Write files that survive a power cut; without fsync, the kernel may hold them in memory for half a minute."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a directory, are on disk; fsync(2)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(path: Path, text: str, put: Callable[[str, Path], None]) -> None:
    """
    Write ``text`` to a temporary file, mode 0600, and ``put`` it at ``path``, completely or not at all.

    Raise what ``put`` raises: ``os.link`` does not replace an existing file, ``os.replace`` does.
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
