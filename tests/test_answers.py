"""No answer that looks whole and is not, and for each failure one line in the log, with the request's id."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.conftest import ROOT, started
from tests.support import fuzz
from tests.support.raw import exchange
from tests.support.stack import Stack
from tests.support.whole import Whole

TIMEOUT = 2
PART = b"part\n" * 1000


@pytest.fixture(scope="module")
def site(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """A site with pages that answer badly."""
    overlays = "compose.yaml:tests/answers/compose.yaml"
    stack = make_stack(ROOT, COMPOSE_FILE=overlays, SITE_REQUEST_TIMEOUT=str(TIMEOUT))
    with started(stack, pytestconfig):
        yield stack


def events(site: Stack, request_id: str) -> list[dict[str, Any]]:
    """Return what the app said of a request; all that it says is JSON."""
    site.log_entry("app", request_id)
    lines = [json.loads(line) for line in site.logs("app").splitlines() if request_id in line]
    return [line for line in lines if "level" in line]


def one_event(site: Stack, request_id: str) -> dict[str, Any]:
    """Return the one line of a failure, and see that no traceback is plain text."""
    [event] = events(site, request_id)
    assert "\nTraceback" not in site.logs("app")
    return event


ERRORS = [
    *("answers/raises?error-view", "answers/exits", "?signal", "answers/header"),
    *(
        "answers/two_lines",
        "answers/huge_header",
        "answers/reason",
        "answers/short",
        "answers/long",
    ),
    *("answers/no_number", "answers/parts?raise=0"),
    *("wsgi/none", "wsgi/no_head", "wsgi/words", "wsgi/no_status"),
]


@pytest.mark.parametrize("path", ERRORS)
def test_what_cannot_be_answered_gets_the_page_for_it(site: Stack, path: str) -> None:
    answer = requests.get(f"{site.url}/{path}", timeout=10)
    assert answer.status_code == 500
    request_id = answer.headers["X-Request-ID"]
    assert f"Error 500, request {request_id}" in answer.text
    assert "b" not in answer.cookies
    event = one_event(site, request_id)
    assert (event["hop"], event["level"]) == ("uwsgi", "ERROR")
    assert event["exc_info"].startswith("Traceback (most recent call last):\n")
    assert site.log_entry("nginx", request_id)["upstream_status"] == "500"


@pytest.mark.parametrize("path", ["?middleware", "answers/raises"])
def test_an_exception_that_django_handles_stays_its_own(site: Stack, path: str) -> None:
    answer = requests.get(f"{site.url}/{path}", timeout=10)
    assert (answer.status_code, answer.text) == (500, "the site's own error page")
    event = one_event(site, answer.headers["X-Request-ID"])
    assert (event["hop"], event["logger"]) == ("django", "django.request")


FORM = {"data": "a=b", "cookies": {"csrftoken": "t" * 32}}


@pytest.mark.parametrize(
    ("method", "content_type", "more"),
    [
        ("GET", "a/b; x*=foo''y", {}),
        ("POST", "a/b; x*=foo''y", {}),
        ("POST", "application/x-www-form-urlencoded; charset=latin-1", FORM),
        ("POST", "multipart/form-data; boundary=\xe9", FORM),
        ("POST", "multipart/form-data", FORM),
    ],
)
def test_a_request_that_cannot_be_read_gets_400(
    stack: Stack, method: str, content_type: str, more: dict[str, Any]
) -> None:
    headers = {"Content-Type": content_type.encode("latin-1")}
    answer = requests.request(method, stack.url, headers=headers, **more, timeout=5)
    assert answer.status_code == 400
    event = one_event(stack, answer.headers["X-Request-ID"])
    assert event["level"] == "WARNING"
    if event["hop"] == "uwsgi":
        assert f"Error 400, request {event['request_id']}" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        *("answers/parts?raise=2", "answers/parts?raise=2&length=20000"),
        *("answers/parts?length=20001", "answers/parts?length=12000"),
        *("answers/parts?sleep=2", "answers/parts?sleep=2&length=20000"),
        "wsgi/words_later",
    ],
)
def test_an_answer_that_breaks_off_looks_so(site: Stack, path: str) -> None:
    with requests.get(f"{site.url}/{path}", stream=True, timeout=10) as answer:
        assert answer.status_code == 200
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(answer.iter_content(1))
    event = one_event(site, answer.headers["X-Request-ID"])
    assert (event["hop"], event["level"]) == ("uwsgi", "ERROR")
    assert event["message"].startswith("broke off an answer: ")


def test_a_stream_that_hangs_looks_broken_off(site: Stack) -> None:
    """Its worker is killed, but after nginx has given up: that takes a killed worker for the end of the answer."""
    address = f"{site.url}/answers/parts?sleep=2&seconds=60"
    with (
        requests.get(address, stream=True, timeout=10) as answer,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        list(answer.iter_content(1))


def test_a_worker_goes_on_after_it_broke_off_answers(site: Stack) -> None:
    """However many: the connections that it keeps open are limited."""
    for _ in range(30):
        with requests.get(f"{site.url}/answers/parts?raise=1", stream=True, timeout=10):
            pass
    assert requests.get(site.url, timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("answers/parts", PART * 4),
        ("answers/parts?length=20000", PART * 4),
        ("answers/hop_by_hop", b"x"),
        ("answers/file", (ROOT / "tests/answers/urls.py").read_bytes()),
        ("answers/buffer", b"buffer"),
        ("wsgi/written", b"written, returned"),
    ],
)
def test_answers_of_all_kinds_arrive(site: Stack, path: str, body: bytes) -> None:
    answer = requests.get(f"{site.url}/{path}", timeout=10)
    assert (answer.status_code, answer.content) == (200, body)
    head = requests.head(f"{site.url}/{path}", timeout=10)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers.get("Content-Length") in (None, str(len(body)))
    assert requests.get(f"{site.url}/wsgi/late_head", timeout=10).text == "late"


def test_a_body_that_may_not_be_is_left_out(site: Stack) -> None:
    request = b"GET /answers/nothing_to_say HTTP/1.1\r\nHost: localhost\r\n"
    [(first, body), (second, _)] = exchange(site, (request + b"\r\n") * 2)
    assert (first.status, body, second.status) == (204, "", 204)
    assert "Content-Length" not in first.headers
    event = one_event(site, first.headers["X-Request-ID"])
    assert event["level"] == "WARNING"


@pytest.mark.parametrize("to", ["/private/a%0Ab", "/.error%0A", "/static/%1B[2J"])
def test_a_view_cannot_write_a_line_of_nginx_error_log(site: Stack, to: str) -> None:
    began = time.time()
    answer = requests.get(f"{site.url}/answers/accel", params={"to": to}, timeout=10)
    assert answer.status_code == 400
    site.log_entry("nginx", answer.headers["X-Request-ID"])
    assert [x for x in site.logs("nginx", began).splitlines() if x[:1] != "{"] == []


def test_an_exception_after_an_answer_is_logged(site: Stack) -> None:
    answer = requests.get(f"{site.url}/answers/finish", timeout=10)
    assert (answer.status_code, answer.text) == (200, "whole")
    event = one_event(site, answer.headers["X-Request-ID"])
    assert "RuntimeError: in a signal" in event["exc_info"]


def test_a_view_cannot_break_a_log_line(site: Stack) -> None:
    began = time.time()
    answer = requests.get(f"{site.url}/answers/logs", timeout=10)
    assert answer.text == "logged"
    site.log_entry("app", "a dict")

    def refuse(constant: str) -> None:
        pytest.fail(f"JSON has no {constant}")

    lines = [json.loads(x, parse_constant=refuse) for x in site.logs("app", began).splitlines()]
    numbers, arguments, from_dict = lines
    assert {line["request_id"] for line in lines} == {answer.headers["X-Request-ID"]}
    assert {(line["hop"], line["level"], line["logger"]) for line in lines} == {
        ("django", "WARNING", "site")
    }
    assert all(line["time"].startswith("20") for line in lines)
    assert numbers["value"] == "NaN"
    assert numbers["more"]["deep"] == ["Infinity", "-Infinity"]
    assert (numbers["extra_level"], numbers["extra_hop"]) == ("mine", "mine")
    assert arguments["message"].startswith("%d arguments (with arguments that do not fit: ")
    assert (from_dict["message"], from_dict["extra_level"]) == ("a dict", "mine")


def test_libraries_are_told_that_threads_work(site: Stack) -> None:
    """sentry-sdk looks for these two options, and warns at each start without them."""
    options = requests.get(f"{site.url}/answers/options", timeout=5).json()
    assert options["enable-threads"] == options["py-call-uwsgi-fork-hooks"] == "b'true'"


@pytest.mark.parametrize("request_", [("GET", "/livez"), ("GET", "/"), ("POST", "/admin/login/")])
def test_the_site_and_uwsgi_keep_to_wsgi(site: Stack, request_: tuple[str, str]) -> None:
    """As Python's own validator has it: https://docs.python.org/3/library/wsgiref.html"""
    method, path = request_
    token = {"X-CSRFToken": "t" * 32, "Cookie": f"csrftoken={'t' * 32}"}
    answer = requests.request(
        method, f"{site.url}{path}?validated", data={"a": "b"}, headers=token, timeout=5
    )
    assert answer.status_code == 200, events(site, answer.headers["X-Request-ID"])


def test_each_request_has_an_answer_and_each_failure_one_line(site: Stack, whole: Whole) -> None:
    """Requests of all shapes, to pages that misbehave in twenty ways."""
    total: Counter[str] = Counter()
    for seed in range(50 if whole else 1):
        statuses, wrong = fuzz.run(site, 2_000 if whole else 300, seed)
        total += statuses
        assert wrong == [], f"seed {seed}"
    print(f"\n{total.total():,} requests: {dict(total.most_common())}")
