"""Files that are still there after a power cut: the kernel keeps what is written for half a minute."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Return when the disk has a file's content, or the names in a directory; fsync(2)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
