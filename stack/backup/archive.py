"""
The file in which ``write.py`` keeps a site and from which ``restore.py`` takes it.

A compressed tar file. First ``backup.json``: what made it, of which site it is, and what it holds. Then
``data/…`` and ``media/…`` as on the volumes. Last ``SHA256SUMS``, for ``sha256sum --check``, and for us:
without it, the file was cut off.
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
    """A file that is read, and hashed as it goes."""

    def __init__(self, file) -> None:
        self.file = file
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        self.hash.update(block)
        return block


def check_sqlite(path: Path) -> None:
    """Raise ``ValueError`` when a database is damaged."""
    # immutable: nobody else has it open, and no -wal or -shm is to appear beside it.
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
    Be the only one who backs up or restores, until this process ends, or closes the descriptor returned.

    Raise ``ValueError`` when another one does.
    """
    volume = os.open(MEDIA, os.O_RDONLY)
    try:
        fcntl.flock(volume, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(volume)
        raise ValueError("another backup or restore is under way: wait until it is done.") from None
    return volume


def known_migrations() -> tuple[dict[str, str], set[tuple[str, str]]]:
    """Return the last migration of each app in this code, and all that it knows, by app and name."""
    import django
    from django.db.migrations.loader import MigrationLoader

    django.setup()
    loader = MigrationLoader(None)  # reads the code; the database may be anywhere
    known = {*loader.disk_migrations}
    for migration in loader.disk_migrations.values():
        known |= {*migration.replaces}
    return dict(loader.graph.leaf_nodes()), known


def refuse(member: tarfile.TarInfo) -> None:
    """Raise ``ValueError`` for what no backup has: links, devices, paths that lead elsewhere."""
    try:
        good = member.isfile() and tarfile.data_filter(member, "/nowhere").name == member.name
    except tarfile.FilterError:
        good = False
    top, *rest = member.name.split("/")
    # (tarfile lets ".." pass as long as it stays below the place where all is unpacked.)
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
    Return what an archive says of itself; raise ``ValueError`` for a format that this release cannot read.

    Format 1 knew neither sites nor any other database than db.sqlite3.
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
    """Raise ``ValueError`` where tarfile and gzip have names of their own for an archive that is not whole."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"it is damaged or cut off: {error}") from None


class Archive:
    """
    An archive that is read from a stream; ``about`` is what it says of itself.

    Raises ``ValueError`` for what is not an archive of ours, cannot be read by this release, or is not whole;
    that may be known at the very end only, so nothing counts before.
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
        """Yield each file, to be read at once and to its end (within ``whole``)."""
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
    """Read an archive to its end; return what is in it, raise ``ValueError`` when it is not whole."""
    count = size = 0
    for member, content in Archive(stream).files():
        while content.read(1 << 20):
            pass
        count, size = count + 1, size + member.size
    return f"{count} files, {size >> 10} KB"
