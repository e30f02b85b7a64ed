"""The report of the doctor's probe: parts that could be had, that could not, and that it did not come to."""

import pytest
from whichhop.target.site_report import (
    Access,
    Load,
    Media,
    Missing,
    Problem,
    SiteReport,
    failed,
    known,
)
from whichhop.target.stack import StackError

PROBLEM = {"error": "KeyError: 'colour'", "type": "KeyError", "place": "/app/shop/views.py:9"}


def test_a_site_that_cannot_be_loaded() -> None:
    report = SiteReport.of({"uwsgi": {"options": {}, "misspelt": ["harakari"]}, "load": PROBLEM})
    assert failed(report.load) == Problem(**PROBLEM)
    assert known(report.uwsgi).misspelt == ["harakari"]
    with pytest.raises(StackError, match="the site cannot be loaded: KeyError"):
        assert report.has_django
    with pytest.raises(StackError, match="the site cannot be loaded"):
        known(report.settings)


def test_what_could_be_had_has_names_and_types() -> None:
    place = {"path": "/media", "mode": "2750", "owner": "1:2", "readable": True, "writable": False}
    report = SiteReport.of(
        {
            "load": {"module": "shop.wsgi", "django": True},
            "setup": {},
            "media": {"directories": [{**place, "full": False}], "newest": "", "name": ""},
            "sqlite": {"places": [{"path": "/db", "error": "No such file"}], "error": "unable"},
            "migrations": {"missing": ["shop.0001"]},
            "page": PROBLEM,
        }
    )
    assert report.load == Load("shop.wsgi", True)
    assert report.has_django
    assert report.media == Media(directories=(Access(**place),))  # type: ignore[arg-type]
    assert report.sqlite is not None
    assert (report.sqlite.places[0].error, report.sqlite.error) == ("No such file", "unable")
    assert report.migrations == Missing(["shop.0001"])
    assert failed(report.page) == Problem(**PROBLEM)
    assert failed(report.tables) is None


def test_a_database_file_that_cannot_even_be_looked_at() -> None:
    report = SiteReport.of({"load": {"module": "x", "django": True}, "sqlite": PROBLEM})
    assert report.sqlite is not None
    assert report.sqlite.places == ()
