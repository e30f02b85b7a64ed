"""
What a backup contains: the databases and other files on the data volume, the uploads, and the site's id.

The id is random and in a file of its own on the data volume. The first start creates it and each backup
includes it, so that a site recognises its own backups on any machine and under any name.
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

# Tables into which Django's migrate itself writes rows.
MIGRATE = {"django_migrations", "django_content_type", "auth_permission", "django_site"}


def is_passing(volume: Path, name: str) -> bool:
    """Return whether a file of this name is temporary, such as an unfinished upload: it is not backed up."""
    return (
        name.startswith((".restore", ".secret_key.", ".site_id."))
        or name in (".backup", "lost+found")
        or (volume == MEDIA and name == "tmp")
    )


def files(directory: Path) -> Iterator[Path]:
    """
    Yield the regular files below a directory, without the temporary files of a volume.

    Raise ``OSError`` for a directory that cannot be read; skip one that is deleted meanwhile.
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
    Return the file of each database in the site's settings, by alias. The file need not exist.

    Raise ``ValueError`` for a database that is not a SQLite file on the data volume. (In-memory databases, and
    Django's placeholder for a site without a database, have nothing to back up.)
    """
    # Load only the settings: loading the apps fails if a database driver is missing.
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
        # Do not compare the engine's name: SQLite has others, such as GeoDjango's.
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
    """Return whether a file is a SQLite database; https://www.sqlite.org/fileformat.html#magic_header_string"""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def is_of_sqlite(path: Path) -> bool:
    """Return whether it is one of SQLite's own files beside a database; https://www.sqlite.org/tempfiles.html"""
    base, dash, suffix = path.name.rpartition("-")
    beside = path.with_name(base) if dash and base else path
    return suffix in ("wal", "shm", "journal") and beside.is_file() and is_sqlite(beside)


def is_fresh(path: Path) -> bool:
    """Return whether a SQLite database has only the rows that Django's migrate itself writes."""
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
        return False  # damaged, or not the site's: do not treat it as disposable
    finally:
        database.close()
    return True


def content() -> str:
    """
    Return one file with data of the site, as "data/…" or "media/…"; "" if there is none.

    The secret key and a database that was only migrated do not count: the first start creates them.
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
    """Create the site's id, unless it has one."""
    if not ID_FILE.exists():
        with contextlib.suppress(FileExistsError):  # another process was faster
            publish(ID_FILE, secrets.token_hex(16), os.link)


def site_id() -> str | None:
    """Return the site's id; ``None`` if no release that creates one has started it yet."""
    try:
        return ID_FILE.read_text()
    except FileNotFoundError:
        return None
