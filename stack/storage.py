"""Uploads that are still there after a power cut."""

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
    Django's storage in a directory, where a saved file is on the disk before anybody hears of it.

    Django leaves that to the kernel, which takes half a minute: a power cut within it would leave a
    row in the database, which does wait for the disk, without its file. Costs a few ms for each file.
    """

    def get_valid_name(self, name: str) -> str:
        """Return a name that nginx serves: one that begins with a dot, as for 🎉.png, gets a word before it."""
        name = super().get_valid_name(name)
        return f"file{name}" if name.startswith(".") else name

    def _save(self, name: str, content: Any) -> str:
        name = super()._save(name, content)
        path = Path(self.path(name))
        _sync(path)
        # The file's name, and the names of directories that were made for it.
        for directory in path.parents:
            _sync(directory)
            if directory == Path(self.location):
                break
        return name
