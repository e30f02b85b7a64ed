"""
The file in which ``backup.py`` keeps a site and from which ``restore.py`` takes it, and where that lies.

A compressed tar file. First ``backup.json``: what made it. Then ``data/…`` and ``media/…`` as on the
volumes. Last ``SHA256SUMS``, for ``sha256sum --check``, and for us: without it, the file was cut off.
"""

import contextlib
import fcntl
import hashlib
import os
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

DATA = Path("/srv/data")
MEDIA = Path("/srv/media")
KEPT = ("public", "private")  # of the uploads; "tmp" has those that are not finished
FORMAT = 1
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


def is_sqlite(path: Path) -> bool:
    """Whether a file is a SQLite database; https://www.sqlite.org/fileformat.html#magic_header_string"""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def check_sqlite(path: Path) -> None:
    """Raise ``ValueError`` when a database is damaged."""
    # immutable: nobody else has it open, and no -wal or -shm is to appear beside it.
    database = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    try:
        (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    finally:
        database.close()
    if said != "ok":
        raise ValueError(f"the database {path.name} is damaged: {said}")


def files(directory: Path) -> Iterator[Path]:
    """Yield the regular files below a directory, in the order of their names."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def lock() -> None:
    """Be the only one who backs up or restores, until this process ends; raise ``ValueError`` if not."""
    volume = os.open(MEDIA, os.O_RDONLY)  # stays open
    try:
        fcntl.flock(volume, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError("another backup or restore is under way: wait until it is done.") from None


def known_migrations() -> tuple[dict[str, str], set[tuple[str, str]]]:
    """Return the last migration of each app in this code, and all that it knows, by app and name."""
    import django
    from django.db.migrations.loader import MigrationLoader

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
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
    good = good and (
        (top in ("backup.json", SUMS) and not rest)
        or (top == "data" and bool(rest) and not rest[0].startswith("."))
        or (top == "media" and len(rest) > 1 and rest[0] in KEPT)
    )
    if not good:
        raise ValueError(
            f"{member.name!r} has no place in a backup: this file was not made by scripts/backup."
        )


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """Raise ``ValueError`` where tarfile and gzip have names of their own for an archive that is not whole."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"it is damaged or cut off: {error}") from None


def read(stream) -> Iterator[tuple[tarfile.TarInfo, Hashing]]:
    """
    Yield each file of an archive, to be read at once and to its end.

    Raise ``ValueError`` for what is not an archive of ours or not whole; that may be at the very end, so
    nothing counts before. (Within ``whole``, also where the caller reads.)
    """
    found, sums = {}, None
    with tarfile.open(fileobj=stream, mode="r|gz") as archive:
        for member in archive:
            refuse(member)
            if sums is not None or member.name in found:
                raise ValueError(f"{member.name!r} is in it twice, or after its end.")
            content = Hashing(archive.extractfile(member))
            if member.name == SUMS:
                sums = content.read().decode(errors="replace")
                continue
            yield member, content
            if content.read(1):
                raise RuntimeError(f"{member.name} was not read to its end")
            found[member.name] = content.hash.hexdigest()
    if sums is None:
        raise ValueError("it is cut off: its list of checksums is missing.")
    if sums != "".join(f"{digest}  {name}\n" for name, digest in found.items()):
        raise ValueError("it is damaged: its checksums do not fit.")
    for needed in ("backup.json", "data/db.sqlite3", "data/secret_key"):
        if needed not in found:
            raise ValueError(f"{needed} is missing: this file was not made by scripts/backup.")


@whole()
def check(stream) -> str:
    """Read an archive to its end; return what is in it, raise ``ValueError`` when it is not whole."""
    count = size = 0
    for member, content in read(stream):
        while content.read(1 << 20):
            pass
        count, size = count + 1, size + member.size
    return f"{count} files, {size >> 10} KB"
