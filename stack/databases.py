"""Put a site's SQLite databases on the data volume, with options that are safe for several workers."""

from pathlib import Path
from typing import Any

from . import paths

ENGINES = ("django.db.backends.sqlite3", "django.contrib.gis.db.backends.spatialite")

# https://docs.djangoproject.com/en/6.1/ref/databases/#sqlite-notes
OPTIONS = {
    # Wait for another worker's write instead of raising "database is locked", …
    "timeout": 20,
    # … which works only when a transaction asks for the write lock when it begins.
    "transaction_mode": "IMMEDIATE",
    # WAL: readers and the writer do not block each other.
    # synchronous=FULL: each commit waits for the disk, so that what a visitor was told is saved
    # survives a power cut. NORMAL would save that wait, a few ms for each write: after a power
    # cut the database would be consistent, but the last commits would be lost.
    # https://www.sqlite.org/pragma.html#pragma_synchronous
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;",
}


def is_a_file(database: dict[str, Any]) -> bool:
    """Return whether an entry of ``DATABASES`` is a SQLite database in a file of its own."""
    name = str(database.get("NAME") or ":memory:")
    return database.get("ENGINE") in ENGINES and not name.startswith((":memory:", "file:"))


def on_the_data_volume(databases: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """
    Return ``DATABASES`` with each SQLite file on the data volume, under its own name.

    Options that the site sets are kept; databases of other engines are not changed.
    """
    placed = dict(databases)
    for alias, database in databases.items():
        if not is_a_file(database):
            continue
        path = Path(database["NAME"])
        placed[alias] = {
            "CONN_MAX_AGE": None,  # workers keep their connection: each new one runs the PRAGMAs again
            **database,
            "NAME": path if path.is_relative_to(paths.DATA) else paths.DATA / path.name,
            "OPTIONS": {**OPTIONS, **database.get("OPTIONS", {})},
        }
    return placed
