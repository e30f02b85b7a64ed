"""
The format of a backup, which ``write.py`` writes and ``restore.py`` reads.

It is a compressed tar file. First comes ``backup.json``: the release that made it, the site, and the contents. Then
``data/…`` and ``media/…`` as on the volumes. Last comes ``SHA256SUMS``, in the format of ``sha256sum --check``:
without it, the file is truncated.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from ..paths import DATA, MEDIA
from . import kept

FORMAT = 2
ABOUT = "backup.json"
SUMS = "SHA256SUMS"


class Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file) -> None:
        self.file = file
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        self.hash.update(block)
        return block


def check_sqlite(path: Path) -> None:
    """Raise ``ValueError`` if a SQLite database is damaged."""
    # immutable: no other process has it open, and SQLite must not create a -wal or -shm file beside it.
    database = sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True)
    try:
        (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    finally:
        database.close()
    if said != "ok":
        raise ValueError(f"the database {path.name} is damaged: {said}")


def lock() -> int:
    """
    Take the lock of backup and restore; return its descriptor. Closing it, or the end of the process, releases it.

    Raise ``ValueError`` when another process holds it.
    """
    volume = os.open(MEDIA, os.O_RDONLY)
    try:
        fcntl.flock(volume, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(volume)
        raise ValueError("another backup or restore is under way: wait until it is done.") from None
    return volume


def known_migrations() -> tuple[dict[str, str], set[tuple[str, str]]]:
    """Return the last migration of each app in this code, and all its migrations as (app, name)."""
    import django
    from django.db.migrations.loader import MigrationLoader

    django.setup()
    loader = MigrationLoader(None)  # reads the code only; needs no database
    known = {*loader.disk_migrations}
    for migration in loader.disk_migrations.values():
        known |= {*migration.replaces}
    return dict(loader.graph.leaf_nodes()), known


def refuse(member: tarfile.TarInfo) -> None:
    """Raise ``ValueError`` for a member that no backup of ours has: a link, a device, a path that leads outside."""
    try:
        good = member.isfile() and tarfile.data_filter(member, "/nowhere").name == member.name
    except tarfile.FilterError:
        good = False
    top, *rest = member.name.split("/")
    # (tarfile allows ".." as long as the path stays inside the target directory.)
    good = good and not {"", ".", ".."} & {*rest}
    if rest:
        volume = {"data": DATA, "media": MEDIA}.get(top)
        good = good and volume is not None and not kept.is_passing(volume, rest[0])
    elif top not in (ABOUT, SUMS):
        good = False
    if not good:
        raise ValueError(
            f"{member.name!r} has no place in a backup: this file was not made by scripts/backup."
        )


def read_about(text: bytes) -> dict:
    """
    Return an archive's ``backup.json``; raise ``ValueError`` for a format that this release cannot read.

    Format 1 had no site id, and db.sqlite3 as its only database.
    """
    try:
        about = json.loads(text)
        if about["format"] == 1:
            about |= {"site": None, "url": "", "databases": {"default": "data/db.sqlite3"}}
        elif about["format"] != FORMAT:
            raise ValueError(
                f"its format is {about['format']!r}, and this release knows 1 and {FORMAT} only."
            )
        return {
            "format": about["format"],
            "made": str(about["made"]),
            "site": about["site"],
            "url": str(about["url"]),
            "databases": {str(alias): str(name) for alias, name in about["databases"].items()},
            "migrations": {str(app): str(name) for app, name in about["migrations"].items()},
        }
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        raise ValueError(f"its {ABOUT} cannot be read: it is damaged.") from None


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """Turn the exceptions of tarfile and gzip for a truncated or damaged archive into ``ValueError``."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"it is damaged or cut off: {error}") from None


class Archive:
    """
    An archive that is read from a stream; ``about`` is its ``backup.json``.

    Raises ``ValueError`` if it is not a backup of ours, is of a newer format, or is incomplete. That may show
    only at the very end, so use nothing of it before.
    """

    def __init__(self, stream) -> None:
        with whole():
            self._tar = tarfile.open(fileobj=stream, mode="r|gz", bufsize=1 << 20)  # noqa: SIM115
            first = self._tar.next()
            if first is None:
                raise ValueError("it is damaged or cut off: there is nothing in it.")
            refuse(first)
            if first.name != ABOUT:
                raise ValueError(f"{ABOUT} is missing: this file was not made by scripts/backup.")
            text = self._tar.extractfile(first).read()
        self.about = read_about(text)
        self._sums = {ABOUT: hashlib.sha256(text).hexdigest()}

    def files(self) -> Iterator[tuple[tarfile.TarInfo, Hashing]]:
        """Yield each file. Read it to its end before the next one (within ``whole``)."""
        found, sums = self._sums, None
        while member := self._tar.next():
            refuse(member)
            if sums is not None or member.name in found:
                raise ValueError(f"{member.name!r} is in it twice, or after its end.")
            content = Hashing(self._tar.extractfile(member))
            if member.name == SUMS:
                sums = content.read().decode(errors="surrogateescape")
                continue
            yield member, content
            if content.read(1):
                raise RuntimeError(f"{member.name} was not read to its end")
            found[member.name] = content.hash.hexdigest()
        if sums is None:
            raise ValueError("it is cut off: its list of checksums is missing.")
        if sums != "".join(f"{digest}  {name}\n" for name, digest in found.items()):
            raise ValueError("it is damaged: its checksums do not fit.")
        for needed in ("data/secret_key", *self.about["databases"].values()):
            if needed not in found:
                raise ValueError(f"{needed} is missing: this file was not made by scripts/backup.")


@whole()
def check(stream) -> str:
    """Read an archive to its end and return its contents; raise ``ValueError`` if it is incomplete."""
    count = size = 0
    for member, content in Archive(stream).files():
        while content.read(1 << 20):
            pass
        count, size = count + 1, size + member.size
    return f"{count} files, {size >> 10} KB"
