"""The site's log is JSON, whatever is logged, and a LOGGING of the site's own still counts."""

import datetime
import json
import logging
import logging.config
import math
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from stack.logs import CONFIG, JsonFormatter, layered


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def line(message: Any = "hello", *arguments: Any, **extra: Any) -> dict[str, Any]:
    """Return a record as it is written, read back as strict JSON."""
    record = logging.getLogger("shop").makeRecord(
        "shop", logging.INFO, "shop.py", 1, message, arguments, sys.exc_info(), extra=extra or None
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    fields: dict[str, Any] = json.loads(text, parse_constant=no_constant)
    return fields


def test_a_line_says_who_what_and_when() -> None:
    fields = line("hello %s", "you", order=7)
    when = datetime.datetime.fromisoformat(fields.pop("time"))
    assert when.utcoffset() == datetime.timedelta(0)
    assert fields == {
        "level": "INFO",
        "logger": "shop",
        "message": "hello you",
        "request_id": None,
        "hop": "django",
        "order": 7,
    }


def test_an_exception_is_one_line_too() -> None:
    try:
        raise ValueError("wrong\nin two lines")
    except ValueError:
        assert "ValueError: wrong\nin two lines" in line()["exc_info"]


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (math.nan, "NaN"),
        ([1, -math.inf], [1, "-Infinity"]),
        ({1}, "{1}"),
        ({(1, 2): math.inf}, {"(1, 2)": "Infinity"}),
        (CIRCLE, [[[[[[[["[[...]]"]]]]]]]]),
        ("\ud800 and\nmore", "\ud800 and\nmore"),
        (10**5000, hex(10**5000)),
        (None, None),
        ({"a": [True, 1.5]}, {"a": [True, 1.5]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_becomes_json(value: Any, written: Any) -> None:
    assert line(value=value)["value"] == written


def test_no_extra_field_takes_the_place_of_ours() -> None:
    fields = line(level="mine", request_id="mine", time="mine", hop="mine", request=object())
    assert fields["level"] == "INFO"
    assert fields["request_id"] is None
    assert fields["hop"] == "django"
    assert (fields["extra_level"], fields["extra_hop"]) == ("mine", "mine")
    assert "request" not in fields


def test_a_dictionary_is_a_line_too() -> None:
    fields = line({"message": "sold", "order": 7, "level": "mine"})
    assert (fields["message"], fields["order"], fields["level"]) == ("sold", 7, "INFO")
    assert fields["extra_level"] == "mine"


def test_arguments_that_do_not_fit_are_still_a_line() -> None:
    assert line("%d of %d", "one")["message"] == (
        "%d of %d (with arguments that do not fit: ('one',))"
    )


@pytest.fixture
def restored() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    for name in ("django", "shop"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(logging.NOTSET)


CONSOLE = {"console": {"class": "logging.StreamHandler"}}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    "site",
    [
        {},
        {"version": 1, "handlers": CONSOLE, "root": {"handlers": ["console"]}},
        {"version": 1, "handlers": CONSOLE, "loggers": {"": {"handlers": ["console"]}}},
        # as in Django's documentation
        {"version": 1, "handlers": CONSOLE, "loggers": {"shop": {"handlers": ["console"]}}},
        {"version": 1, "loggers": {"shop": {"level": "DEBUG"}}},
        {
            "version": 1,
            "formatters": {"verbose": {"format": "{levelname} {message}", "style": "{"}},
            "handlers": {"console": {**CONSOLE["console"], "formatter": "verbose"}},
            "loggers": {"shop": {"handlers": ["console"], "propagate": True}},
        },
    ],
    ids=str,
)
def test_each_message_is_one_line_of_json(
    site: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    logging.config.dictConfig(layered(site))
    logging.getLogger("shop").warning("once")
    [text] = capsys.readouterr().err.splitlines()
    assert json.loads(text)["message"] == "once"


@pytest.mark.usefixtures("restored")
def test_a_formatter_of_the_sites_own_class_stays(capsys: pytest.CaptureFixture[str]) -> None:
    site = {
        "version": 1,
        "formatters": {"own": {"()": "logging.Formatter", "fmt": "%(request_id)s %(message)s"}},
        "handlers": {"console": {**CONSOLE["console"], "formatter": "own"}},
        "root": {"handlers": ["console"]},
    }
    logging.config.dictConfig(layered(site))
    logging.getLogger("shop").warning("as I like it")
    assert capsys.readouterr().err == "None as I like it\n"


def test_levels_and_other_handlers_of_the_site_stay() -> None:
    site: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": True,
        "handlers": {"mail": {"class": "django.utils.log.AdminEmailHandler"}},
        "loggers": {"shop": {"handlers": ["mail"], "level": "ERROR"}},
    }
    config = layered(site)
    assert config["handlers"]["mail"] == site["handlers"]["mail"]
    assert config["loggers"]["shop"] == site["loggers"]["shop"]  # and on to the root
    assert config["loggers"]["django"] == CONFIG["loggers"]["django"]
    assert config["root"] == CONFIG["root"]
    assert config["disable_existing_loggers"] is False
