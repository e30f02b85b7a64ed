"""One setting, one variable, one place; bad input stops the start with one sentence."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import ROOT, discard, started
from tests.support.people import PASSWORD, create_user
from tests.support.stack import Output, Stack, run_once
from tests.support.workers import workers

COMPOSE_ONLY = {"BUILD_CA", "COMPOSE_FILE"}  # read by Compose; no container gets them

# Every setting with its default, as the person who copies the file reads them.
EXAMPLE = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
DEFAULTS = {name: value for name, value in EXAMPLE.items() if name not in COMPOSE_ONLY}


def init(images: str, variables: dict[str, str]) -> Output:
    """Run the init job of the run's image alone, with these variables and no others."""
    return run_once(f"{images}-app", ["python3", "/uwsgi/init.py"], variables)


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


def test_django_reads_what_the_example_lists(images: str) -> None:
    show = "echo x >/srv/data/secret_key; python3 -c 'from mysite import settings; print(*settings.SITE)'"
    names = run_once(f"{images}-app", ["bash", "-c", show], DEFAULTS).out.split()
    assert {f"SITE_{name}" for name in names} == set(DEFAULTS)


def test_the_docs_list_the_same_settings() -> None:
    row = r"^\| `([A-Z_]+)` \|(?: `([^`]*)`)? \|"
    table = re.findall(row, (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    assert {name: value for name, value in table if name not in COMPOSE_ONLY} == DEFAULTS


def test_no_file_mentions_a_setting_that_does_not_exist() -> None:
    known = {*DEFAULTS, "SITE_GID"}  # SITE_GID: a build argument, in compose.yaml beside the uids
    places = ("README.md", ".env.example", "compose*.yaml", "Dockerfile.*", "compose/*", "docs/*")
    folders = ("scripts/*", "certificate/*", "nginx/**/*", "uwsgi/**/*", "mysite/**/*.py")
    files = [path for place in places + folders for path in ROOT.glob(place) if path.is_file()]
    assert len(files) > 20
    mentioned = {
        (name, str(path.relative_to(ROOT)))
        for path in files
        for name in re.findall(r"\bSITE_[A-Z][A-Z0-9_]*", path.read_text(errors="replace"))
    }
    assert {(name, path) for name, path in mentioned if name not in known} == set()


# -- bad input stops the start

Variables = Mapping[str, str | None]  # None: not set

BAD: list[tuple[Variables, str]] = [
    *[({name: None}, f"{name} is not set; see .env.example.") for name in DEFAULTS],
    # An address is a scheme, a host and perhaps a port; a path or a name would mean nothing here.
    ({"SITE_URL": ""}, "SITE_URL is wrong: '' is not an address such as https://example.com."),
    ({"SITE_URL": "example.com"}, "SITE_URL is wrong: 'example.com' is not an address"),
    ({"SITE_URL": "http://.example.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "ftp://example.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com/"}, "SITE_URL is wrong: 'https://example.com/' is not an"),
    ({"SITE_URL": "https://example.com/path"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://me:secret@example.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://*.example.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://exa mple.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com; return 200"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com:port"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com:123456"}, "SITE_URL is wrong"),
    ({"SITE_URL": "http://localhost:99999"}, "SITE_URL is wrong"),
    ({"SITE_URL": "http://localhost:0"}, "SITE_URL is wrong"),
    ({"SITE_URL": "http://localhost:8٤"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://[::::]"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com\n"}, r"SITE_URL is wrong: 'https://example.com\n' is not"),
    ({"SITE_BIND": ""}, "SITE_BIND is wrong: '' is not an IP address such as 127.0.0.1."),
    ({"SITE_BIND": "localhost"}, "SITE_BIND is wrong"),
    ({"SITE_URL": "https://example.com,http://localhost"}, "SITE_URL is wrong: it mixes http and"),
    ({"SITE_URL": "https://example.com,"}, "SITE_URL is wrong: '' is not an address"),
    ({"SITE_URL": "https://example.com, https://b.example"}, "' https://b.example' is not an"),
    # Numbers, written so that nginx, uWSGI and bash read the same one as Python.
    ({"SITE_PORT": ""}, "SITE_PORT is wrong"),
    ({"SITE_PORT": "http"}, "SITE_PORT is wrong"),
    ({"SITE_PORT": "0"}, "SITE_PORT is wrong"),
    ({"SITE_PORT": "65536"}, "SITE_PORT is wrong"),
    ({"SITE_HTTP_PORT": "http"}, "SITE_HTTP_PORT is wrong"),
    ({"SITE_HTTP_PORT": "0"}, "SITE_HTTP_PORT is wrong"),
    (
        {"SITE_ACME_URL": ""},
        "SITE_ACME_URL is wrong: '' is not an address such as https://example.com",
    ),
    ({"SITE_ACME_URL": "http://acme.example/directory"}, "SITE_ACME_URL is wrong"),
    ({"SITE_ACME_URL": "https://acme.example/$(id)"}, "SITE_ACME_URL is wrong"),
    # Whom to believe: everybody is not a proxy.
    (
        {"SITE_TRUSTED_PROXIES": "proxy"},
        "'proxy' is not an address such as 10.0.0.1 or 10.0.0.0/24.",
    ),
    ({"SITE_TRUSTED_PROXIES": "0.0.0.0/0"}, "SITE_TRUSTED_PROXIES is wrong"),
    ({"SITE_TRUSTED_PROXIES": "::/0"}, "SITE_TRUSTED_PROXIES is wrong"),
    ({"SITE_TRUSTED_PROXIES": "10.0.0.1/8"}, "SITE_TRUSTED_PROXIES is wrong"),
    ({"SITE_TRUSTED_PROXIES": "10.0.0.1,"}, "SITE_TRUSTED_PROXIES is wrong: '' is not an"),
    ({"SITE_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2"}, "SITE_TRUSTED_PROXIES is wrong"),
    ({"SITE_TRUSTED_PROXIES": "10.0.0.1; allow all"}, "SITE_TRUSTED_PROXIES is wrong"),
    (
        {"SITE_TRUSTED_PROXIES": "10.0.0.1,host", "SITE_BIND": "0.0.0.0"},
        "SITE_TRUSTED_PROXIES=host believes whoever comes through this machine",
    ),
    ({"SITE_HSTS_SECONDS": ""}, "SITE_HSTS_SECONDS is wrong"),
    ({"SITE_HSTS_SECONDS": "-1"}, "SITE_HSTS_SECONDS is wrong"),
    ({"SITE_HSTS_SECONDS": "00"}, "'00' is not a whole number from 0 to 63072000."),
    ({"SITE_MAX_UPLOAD_MB": ""}, "SITE_MAX_UPLOAD_MB is wrong"),
    ({"SITE_MAX_UPLOAD_MB": "75m"}, "SITE_MAX_UPLOAD_MB is wrong"),
    ({"SITE_MAX_UPLOAD_MB": "0"}, "SITE_MAX_UPLOAD_MB is wrong"),
    ({"SITE_REQUEST_TIMEOUT": ""}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": "1.5"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": "-1"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": "08"}, "'08' is not a whole number from 1 to 3600."),
    ({"SITE_REQUEST_TIMEOUT": "1_0"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": "+30"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": " 4"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_WORKERS": ""}, "SITE_WORKERS is wrong"),
    ({"SITE_WORKERS": "1٤"}, "SITE_WORKERS is wrong"),
    ({"SITE_WORKERS": "auto"}, "SITE_WORKERS is wrong"),
    ({"SITE_WORKERS": "0"}, "SITE_WORKERS is wrong"),
    ({"SITE_WORKERS": "25"}, "'25' is not a whole number from 1 to 24."),
    # Source code and settings on an error page are for the developer alone.
    ({"SITE_CACHE": ""}, "SITE_CACHE is wrong: '' is neither true nor false."),
    ({"SITE_CACHE": "True"}, "SITE_CACHE is wrong"),
    ({"SITE_CACHE": "on; x"}, "SITE_CACHE is wrong"),
    ({"SITE_DEBUG": ""}, "SITE_DEBUG is wrong"),
    ({"SITE_DEBUG": "maybe"}, "SITE_DEBUG is wrong"),
    ({"SITE_DEBUG": "true", "SITE_URL": "https://example.com"}, "SITE_DEBUG=true shows source"),
    ({"SITE_DEBUG": "true", "SITE_BIND": "0.0.0.0"}, "SITE_DEBUG=true shows source"),
    (
        {"SITE_DEBUG": "true", "SITE_URL": "http://localhost,http://example.com"},
        "SITE_DEBUG=true shows source",
    ),
    # A typo.
    ({"SITE_WORKER": "4"}, "SITE_WORKER is not a setting; .env.example lists them all."),
    ({"SITE_": "4"}, "SITE_ is not a setting"),
]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    BAD,
    ids=[",".join(f"{name}={value}" for name, value in variables.items()) for variables, _ in BAD],
)
def test_bad_input_stops_the_start(images: str, variables: Variables, sentence: str) -> None:
    given = {name: value for name, value in {**DEFAULTS, **variables}.items() if value is not None}
    output = init(images, given)
    assert output.code == 1, output
    [line] = output.err.splitlines()
    assert line.startswith("init: SITE_")
    assert sentence in line
    assert "Traceback" not in output.out
    assert "Applying" not in output.out  # the database was not touched


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SITE_URL": "https://example.com,https://www.example.com:8443"},
        {"SITE_URL": "http://[::1]:8000", "SITE_BIND": "[::1]", "SITE_DEBUG": "true"},
        {"SITE_DEBUG": "true"},
        {"SITE_TRUSTED_PROXIES": "host"},
        {"SITE_TRUSTED_PROXIES": "192.0.2.1,10.0.0.0/8,2001:db8::1", "SITE_BIND": "0.0.0.0"},
        {"SITE_HSTS_SECONDS": "63072000"},
        {"UNRELATED": "is not ours to judge"},
    ],
    ids=lambda variables: str(variables),
)
def test_good_input_does_not(images: str, variables: dict[str, str]) -> None:
    output = init(images, {**DEFAULTS, **variables})
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
            "init: SITE_WORKER is not a setting; .env.example lists them all."
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
    config = stack.run("nginx", "nginx", "-T")
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
