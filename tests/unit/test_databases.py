"""A site's SQLite databases are put on the data volume; everything else in DATABASES is the site's."""

from pathlib import Path
from typing import Any

import pytest

from stack.databases import OPTIONS, is_a_file, on_the_data_volume

SQLITE = "django.db.backends.sqlite3"


def test_the_database_of_startproject_moves_to_the_data_volume() -> None:
    own = {"default": {"ENGINE": SQLITE, "NAME": Path("/app/db.sqlite3")}}
    [database] = on_the_data_volume(own).values()
    assert database == {
        "ENGINE": SQLITE,
        "NAME": Path("/srv/data/db.sqlite3"),
        "CONN_MAX_AGE": None,
        "OPTIONS": OPTIONS,
    }
    assert own["default"]["NAME"] == Path(
        "/app/db.sqlite3"
    )  # the site's own dictionary is left alone


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("site.db", "/srv/data/site.db"),
        ("/app/data/site.db", "/srv/data/site.db"),
        ("/srv/data/of/mine.sqlite3", "/srv/data/of/mine.sqlite3"),
    ],
)
def test_a_database_keeps_its_name(name: str, path: str) -> None:
    own = {"default": {"ENGINE": SQLITE, "NAME": name}}
    assert on_the_data_volume(own)["default"]["NAME"] == Path(path)


def test_what_the_site_sets_stays() -> None:
    own = {"ENGINE": SQLITE, "NAME": "x", "CONN_MAX_AGE": 5, "OPTIONS": {"timeout": 60}}
    database = on_the_data_volume({"default": own})["default"]
    assert database["CONN_MAX_AGE"] == 5
    assert database["OPTIONS"] == {**OPTIONS, "timeout": 60}


@pytest.mark.parametrize(
    "database",
    [
        {},
        {"ENGINE": "django.db.backends.postgresql", "NAME": "site", "HOST": "db"},
        {"ENGINE": SQLITE, "NAME": ":memory:"},
        {"ENGINE": SQLITE, "NAME": "file:memory?mode=memory&cache=shared"},
        {"ENGINE": SQLITE},
    ],
    ids=str,
)
def test_any_other_database_is_left_alone(database: dict[str, Any]) -> None:
    assert not is_a_file(database)
    assert on_the_data_volume({"default": database}) == {"default": database}
