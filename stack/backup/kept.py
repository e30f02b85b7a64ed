"""
What a site keeps, and where: its databases and whatever else is on the data volume, its uploads, and its id.

The id is a random one in a file of its own on the data volume. The first start makes it, and a backup takes
it along, so that a site knows its own backups wherever it is and whatever it is called.
"""

import contextlib
import os
import secrets
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ..fsync import publish
from ..paths import DATA, MEDIA, SECRET_KEY

ID_FILE = DATA / "site_id"

# What Django's migrate writes into a new database by itself.
MIGRATE = {"django_migrations", "django_content_type", "auth_permission", "django_site"}


def is_passing(volume: Path, name: str) -> bool:
    """Whether what has this name on a volume is nothing to keep: half-made, or an unfinished upload."""
    return (
        name.startswith((".restore", ".secret_key.", ".site_id."))
        or name in (".backup", "lost+found")
        or (volume == MEDIA and name == "tmp")
    )


def files(directory: Path) -> Iterator[Path]:
    """
    Yield the regular files below a directory; of a volume, those that are kept.

    Raise ``OSError`` for a directory that cannot be read; one that is deleted meanwhile is none.
    """

    def give_up(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for folder, folders, names in os.walk(directory, onerror=give_up):
        if Path(folder) == directory:
            folders[:] = [name for name in folders if not is_passing(directory, name)]
            names = [name for name in names if not is_passing(directory, name)]
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path


# -- databases


def databases() -> dict[str, Path]:
    """
    Return the file of each database in the site's settings, by its alias; it need not exist.

    Raise ``ValueError`` for a database that is anything else than a SQLite file on the data volume. (One in
    memory, and Django's placeholder where a site has no database, hold nothing that could be kept.)
    """
    # The settings alone: the apps cannot be loaded where the driver of a database is missing.
    from django.core.exceptions import ImproperlyConfigured
    from django.db import connections

    found = {}
    for alias in connections:
        engine = connections.settings[alias]["ENGINE"]
        if engine == "django.db.backends.dummy":
            continue
        try:
            database = connections[alias]  # does not connect
        except (ImproperlyConfigured, ImportError):
            database = None
        # Not the engine's name: packages bring others for SQLite, such as GeoDjango's.
        if database is None or database.vendor != "sqlite":
            raise ValueError(
                f'the database "{alias}" is one of {engine}, and only SQLite files on the data volume are'
                " backed up and restored here: use that database's own tools."
            )
        if database.is_in_memory_db():
            continue
        name = str(database.settings_dict["NAME"])
        if name.startswith("file:"):  # https://www.sqlite.org/uri.html
            name = unquote(urlsplit(name).path)
        path = Path(os.path.abspath(name))  # noqa: PTH100 (resolve() would follow links)
        if not path.is_relative_to(DATA):
            path = path.resolve()
        if not path.is_relative_to(DATA):
            raise ValueError(
                f'the database "{alias}" is {path}, which is not on the data volume: move it to {DATA}.'
            )
        found[alias] = path
    return found


def is_sqlite(path: Path) -> bool:
    """Whether a file is a SQLite database; https://www.sqlite.org/fileformat.html#magic_header_string"""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def is_of_sqlite(path: Path) -> bool:
    """Whether a file is what SQLite keeps beside a database; https://www.sqlite.org/tempfiles.html"""
    base, dash, suffix = path.name.rpartition("-")
    beside = path.with_name(base) if dash and base else path
    return suffix in ("wal", "shm", "journal") and beside.is_file() and is_sqlite(beside)


def is_fresh(path: Path) -> bool:
    """Whether a SQLite database has no row but those that Django's migrate writes by itself."""
    database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=20)
    try:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            if name in MIGRATE or name.startswith("sqlite_"):
                continue
            quoted = name.replace('"', '""')
            if database.execute(f'SELECT 1 FROM "{quoted}" LIMIT 1').fetchone():  # noqa: S608
                return False
    except sqlite3.Error:
        return False  # damaged, or somebody else's: not ours to throw away
    finally:
        database.close()
    return True


def content() -> str:
    """
    Return a file that holds something of the site's, as "data/…" or "media/…"; "" when nothing does.

    The secret key, and a database that was only migrated, are nothing: the first start makes them.
    """
    for volume in (DATA, MEDIA):
        try:
            for path in files(volume):
                if path in (SECRET_KEY, ID_FILE) or is_of_sqlite(path):
                    continue
                if volume == DATA and is_sqlite(path) and is_fresh(path):
                    continue
                return str(path.relative_to("/srv"))
        except PermissionError as error:
            return str(Path(error.filename).relative_to("/srv"))
    return ""


# -- the site's id


def make_id() -> None:
    """Give the site its id, unless it has one."""
    if not ID_FILE.exists():
        with contextlib.suppress(FileExistsError):  # of two that begin at once, one is the first
            publish(ID_FILE, secrets.token_hex(16), os.link)


def site_id() -> str | None:
    """Return the site's id; ``None`` before it was started by a release that gives it one."""
    try:
        return ID_FILE.read_text()
    except FileNotFoundError:
        return None
