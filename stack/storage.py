"""Storage whose uploads survive a power cut."""

import os
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DurableFileSystemStorage(FileSystemStorage):
    """
    Django's ``FileSystemStorage`` with fsync: a saved file is on disk before ``save`` returns.

    Django leaves writing to the kernel, which may take half a minute. After a power cut in that time, the
    database, which does wait for the disk, would have a row without its file. Costs a few ms per file.
    """

    def get_valid_name(self, name: str) -> str:
        """Return a name that nginx serves: one that begins with a dot, as for 🎉.png, gets a prefix."""
        name = super().get_valid_name(name)
        return f"file{name}" if name.startswith(".") else name

    def _save(self, name: str, content: Any) -> str:
        name = super()._save(name, content)
        path = Path(self.path(name))
        _sync(path)
        # The file's name, and the names of directories created for it.
        for directory in path.parents:
            _sync(directory)
            if directory == Path(self.location):
                break
        return name
