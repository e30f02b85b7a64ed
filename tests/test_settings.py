"""One setting, one variable, one place; bad input stops the start with one sentence."""

import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import discard, started
from tests.support.people import PASSWORD, create_user
from tests.support.stack import Output, Stack, run_once
from tests.support.variables import DEFAULTS
from tests.support.workers import workers


def init(images: str, variables: dict[str, str]) -> Output:
    """Run the init job of the run's image alone, with these variables and no others."""
    return run_once(f"{images}-app", ["stack", "init"], variables)


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the shell of whoever runs the tests may have set."""
    for name in list(os.environ):
        if name.startswith("SITE_"):
            monkeypatch.delenv(name)


def environments(directory: Path) -> dict[str, dict[str, str]]:
    """Return the variables that Compose would give to each service that gets some."""
    config = json.loads(
        Stack(directory, "config-only").compose("config", "--format", "json").stdout
    )
    services = config["services"].items()
    return {name: service["environment"] for name, service in services if "environment" in service}


# -- one variable, one place


@pytest.mark.usefixtures("no_settings")
def test_the_example_lists_every_variable_with_its_default(project_copy: Path) -> None:
    given = environments(project_copy)
    assert given == {"init": DEFAULTS, "app": DEFAULTS, "nginx-config": DEFAULTS}


@pytest.mark.usefixtures("no_settings")
def test_the_example_works_when_every_line_is_uncommented(project_copy: Path) -> None:
    example = (project_copy / ".env.example").read_text()
    (project_copy / ".env").write_text(re.sub(r"^#([A-Z_]+=)", r"\1", example, flags=re.MULTILINE))
    given = environments(project_copy)
    assert {name: given["nginx-config"][name] for name in DEFAULTS} == DEFAULTS
    assert {name: given["app"][name] for name in DEFAULTS} == DEFAULTS


# -- bad input stops the start

# What else is refused, and that any variable is looked at, is in tests/unit/test_env.py.
BAD: list[tuple[dict[str, str | None], str]] = [
    ({"SITE_URL": None}, "SITE_URL is not set; see .env.example."),
    ({"SITE_URL": "example.com"}, "SITE_URL is wrong: 'example.com' is not an address"),
    ({"SITE_REQUEST_TIMEOUT": None}, "SITE_REQUEST_TIMEOUT is not set; see .env.example."),
    ({"SITE_REQUEST_TIMEOUT": "08"}, "SITE_REQUEST_TIMEOUT is wrong: '08' is not a whole number"),
    ({"SITE_WORKER": "4"}, "SITE_WORKER is not a setting: did you mean SITE_WORKERS?"),
    (
        {"SITE_SETTINGS": "shop.settings"},
        "SITE_SETTINGS is wrong: there is no module shop.settings",
    ),
]


@pytest.mark.parametrize(("variables", "sentence"), BAD, ids=str)
def test_bad_input_stops_the_start(
    images: str, variables: dict[str, str | None], sentence: str
) -> None:
    given = {name: value for name, value in {**DEFAULTS, **variables}.items() if value is not None}
    output = init(images, given)
    assert output.code == 1, output
    [line] = output.err.splitlines()
    assert line.startswith(f"init: {sentence}")
    assert "Traceback" not in output.out
    assert "Applying" not in output.out  # the database was not touched


def test_variables_of_the_sites_own_do_not(images: str) -> None:
    output = init(images, {**DEFAULTS, "SITE_NAME": "Our shop", "UNRELATED": "too"})
    assert (output.code, output.err) == (0, "")


def test_a_warning_of_djangos_checks_stops_the_start_and_says_how_to_go_on(images: str) -> None:
    settings = "from mysite.settings import *\nX_FRAME_OPTIONS = 'SAMEORIGIN'\n"
    path = {"PYTHONPATH": "/app:/opt:/tmp", "SITE_SETTINGS": "shop"}
    command = f'echo "{settings}" >/tmp/shop.py; exec stack init'
    output = run_once(f"{images}-app", ["bash", "-c", command], {**DEFAULTS, **path})
    assert output.code == 1
    assert output.err.splitlines()[-1] == (
        "init: Django's checks found security.W019: the lines above say what to do; a warning that is none"
        " here goes into SILENCED_SYSTEM_CHECKS in the settings."
    )
    silenced = settings + "SILENCED_SYSTEM_CHECKS = ['security.W019']\n"
    command = f'echo "{silenced}" >/tmp/shop.py; exec stack init'
    output = run_once(f"{images}-app", ["bash", "-c", command], {**DEFAULTS, **path})
    assert (output.code, output.err) == (0, "")


def test_a_typo_in_env_stops_the_stack(
    make_stack: Callable[..., Stack], project_copy: Path, pytestconfig: pytest.Config
) -> None:
    """Compose hands .env to the containers, so that a name it does not know is seen there."""
    (project_copy / ".env").write_text("SITE_WORKER=3\n")
    stack = make_stack(directory=project_copy)
    try:
        process = stack.compose("up", "--no-build", "--wait", check=False)
        assert process.returncode == 1
        assert stack.logs("init").splitlines()[-1] == (
            "init: SITE_WORKER is not a setting: did you mean SITE_WORKERS? .env.example lists them all."
        )
        assert stack.container("app").status == stack.container("nginx").status == "created"
    finally:
        discard(stack, pytestconfig)


# -- what follows from a setting

PUBLIC = "https://example.com,https://www.example.com"


@pytest.fixture(scope="module")
def shared_stack(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """`stack`, for the tests of this file: one where no setting has its default."""
    stack = make_stack(
        SITE_URL=PUBLIC,
        SITE_MAX_UPLOAD_MB="1",
        SITE_WORKERS="2",
        SITE_REQUEST_TIMEOUT="3",
        SITE_CACHE="false",
        COMPOSE_FILE="compose.yaml:tests/cache/compose.yaml",  # with a page that is public
    )
    with started(stack, pytestconfig):
        yield stack


def ask(stack: Stack, path: str, method: str = "GET", **options: Any) -> requests.Response:
    """Make a request as a visitor of www.example.com does, whose name leads here."""
    headers = {"Host": "www.example.com", **options.pop("headers", {})}
    return requests.request(method, stack.url + path, headers=headers, timeout=10, **options)


def test_nginx_has_what_follows(stack: Stack) -> None:
    config = stack.run("nginx", "nginx", "-T").replace("  ", " ")
    assert "\nserver_name example.com www.example.com;\n" in config
    assert "\nclient_max_body_size 1m;\n" in config
    assert "\nuwsgi_read_timeout 3s;\n" in config
    assert "\nuwsgi_send_timeout 3s;\n" in config


def test_nginx_keeps_no_page_when_told_so(stack: Stack) -> None:
    path = "/pages/?Cache-Control=public, max-age=60"
    first, second = (ask(stack, path) for _ in range(2))
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "public, max-age=60")
    assert first.text != second.text
    assert "X-Cache" not in second.headers
    assert stack.run("nginx", "find", "/var/cache/nginx", "-type", "f") == ""


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.com", 200),
        ("www.example.com", 200),
        ("WWW.EXAMPLE.COM", 200),
        ("localhost", 421),
        ("127.0.0.1", 421),
        ("evil.example", 421),
        ("sub.example.com", 421),
        ("example.com.evil.example", 421),
    ],
)
def test_only_the_hosts_of_the_public_address_are_answered(
    stack: Stack, host: str, status: int
) -> None:
    assert ask(stack, "/", headers={"Host": host}).status_code == status


def test_the_scheme_is_that_of_the_public_address(stack: Stack) -> None:
    assert "<dt>scheme</dt><dd>https</dd>" in ask(stack, "/").text
    lied = ask(stack, "/", headers={"X-Forwarded-Proto": "http", "X-Forwarded-SSL": "off"})
    assert "<dt>scheme</dt><dd>https</dd>" in lied.text


def log_in(stack: Stack, name: str, origin: str, padding: str = "") -> requests.Response:
    """Send the log-in form of the admin with a cookie that a browser gives to https only."""
    page = ask(stack, "/admin/login/")
    token = page.headers["Set-Cookie"].split(";")[0]
    return ask(
        stack,
        "/admin/login/",
        "POST",
        data={
            "username": name,
            "password": PASSWORD,
            "csrfmiddlewaretoken": token.removeprefix("csrftoken="),
            "padding": padding,
        },
        headers={"Cookie": token, "Origin": origin, "Referer": f"{origin}/admin/login/"},
        allow_redirects=False,
    )


def test_cookies_are_secure(stack: Stack) -> None:
    """All of them: the session's is only seen by somebody who logs in."""
    create_user(stack, "somebody")
    answer = log_in(stack, "somebody", "https://www.example.com")
    assert answer.status_code == 302
    cookies = answer.raw.headers.getlist("Set-Cookie")
    assert sorted(cookie.split("=")[0] for cookie in cookies) == ["csrftoken", "sessionid"]
    assert all("; Secure" in cookie for cookie in cookies)


@pytest.mark.expect_log("Origin checking failed")
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://example.com", 200),  # the form again, since there is nobody of that name
        ("https://www.example.com", 200),
        ("http://www.example.com", 403),
        ("https://sub.example.com", 403),
        ("https://evil.example", 403),
    ],
)
def test_forms_are_taken_from_the_public_address_only(
    stack: Stack, origin: str, status: int
) -> None:
    assert log_in(stack, "nobody", origin).status_code == status


def test_the_upload_limit_is_the_one_that_was_set(stack: Stack) -> None:
    fits = ask(stack, "/", "POST", data=b"x" * 2**20)
    assert fits.status_code in (403, 405)  # Django's answer
    refused = ask(stack, "/", "POST", data=b"x" * (2**20 + 1))
    assert refused.status_code == 413
    assert "The site takes uploads of up to 1 MB." in refused.text
    assert stack.log_entry("nginx", refused.headers["X-Request-ID"])["upstream_status"] == ""


def test_there_are_as_many_workers_as_were_set(stack: Stack) -> None:
    assert len(workers(stack)) == 2
    names = [stack.run("app", "cat", f"/proc/{pid}/comm") for pid in workers(stack)]
    assert names == ["uwsgi\n", "uwsgi\n"]


@pytest.mark.expect_log(r"HARAKIRI|DAMN|\"status\":504|upstream timed out")
def test_a_request_that_takes_longer_than_was_set_is_ended(stack: Stack) -> None:
    """Logging in waits for a lock on the database; each 64 KB of form would put uWSGI's harakiri off."""
    create_user(stack, "patient")
    hold = (
        "import sqlite3, time; c = sqlite3.connect('/srv/data/db.sqlite3');"
        "c.execute('BEGIN IMMEDIATE'); time.sleep(10)"
    )
    before = workers(stack)
    with ThreadPoolExecutor() as other:
        lock = other.submit(stack.run, "app", "python3", "-c", hold)
        answer = log_in(stack, "patient", "https://example.com", padding="x" * 900_000)
        assert answer.status_code == 504
        assert 3 <= answer.elapsed.total_seconds() < 5
        assert "That took too long" in answer.text

        def replaced() -> bool:
            return len(workers(stack)) == 2 and len(workers(stack) - before) == 1

        stack.wait("one worker is replaced", replaced, 10, "app")
        assert not lock.done(), "the worker was not ended, it had only to wait"
        assert "HARAKIRI" in stack.logs("app")
