"""Hop `nginx`: it answers by itself, and says no by itself, whatever the app does."""

import re
import time

import pytest
import requests

from tests.support.raw import exchange
from tests.support.stack import Stack


def test_its_configuration_is_valid(stack: Stack) -> None:
    output = stack.exec("nginx", "nginx", "-t")
    assert output.code == 0
    assert "[warn]" not in output.err


def test_a_host_that_is_not_ours_stops_at_nginx(stack: Stack) -> None:
    answer = requests.get(stack.url, headers={"Host": "evil.example"}, timeout=5)
    assert answer.status_code == 421
    assert "does not serve that address" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text


@pytest.mark.parametrize("host", ["10.0.0.5", "evil.example", "localhost", "nobody:99"])
def test_a_balancer_gets_an_answer_whatever_host_it_asks_for(stack: Stack, host: str) -> None:
    """Without a worker, and without a word about the site."""
    answer = requests.get(f"{stack.url}/healthz", headers={"Host": host}, timeout=5)
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert stack.log_entry("nginx", answer.headers["X-Request-ID"])["upstream_status"] == ""
    told = {"Server", "Date", "Content-Type", "Content-Length", "Connection"}
    assert {*answer.headers} == told | {"Cache-Control", "X-Request-ID"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_every_spelling_of_localhost_is_ours(stack: Stack, host: str) -> None:
    port = stack.variables["SITE_PORT"]
    assert requests.get(stack.url, headers={"Host": f"{host}:{port}"}, timeout=5).ok


def test_it_does_not_tell_its_version(stack: Stack) -> None:
    for path in ("/", "/static/nope.css"):
        assert requests.get(stack.url + path, timeout=5).headers["Server"] == "nginx"


@pytest.mark.parametrize("path", ["/static/nope.css", "/media/nope.png", "/private/nope.pdf"])
def test_its_error_page_is_friendly_and_names_the_request(stack: Stack, path: str) -> None:
    answer = requests.get(stack.url + path, timeout=5)
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.text
    assert re.search(rf"request {answer.headers['X-Request-ID']}<", answer.text)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["/", "/admin/login/", "/no", "/static/no", "/static/welcome/landing.css", "/robots.txt"],
)
def test_no_header_comes_twice(stack: Stack, path: str) -> None:
    """One of nginx and Django says it, not both. (``Vary`` is a list, of which each says a part.)"""
    answer = requests.get(stack.url + path, timeout=5)
    names = [name for name in answer.raw.headers if name != "Vary"]
    assert len(answer.raw.headers.getlist("Server")) == 1
    assert [name for name in names if len(answer.raw.headers.getlist(name)) > 1] == []


def test_its_error_page_lets_nothing_in(stack: Stack) -> None:
    """Its own style alone, by a nonce that nobody can know beforehand; also where the host is not ours."""
    for host in ("localhost", "evil.example"):
        answer = requests.get(f"{stack.url}/static/nope.css", headers={"Host": host}, timeout=5)
        nonce = answer.headers["X-Request-ID"]
        assert f'<style nonce="{nonce}">' in answer.text
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", f"style-src 'nonce-{nonce}'"} <= set(policy)
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_header_that_is_too_long_gets_the_same_page(stack: Stack) -> None:
    answer = requests.get(stack.url, headers={"Cookie": "x" * 9_000}, timeout=5)
    assert answer.status_code == 400
    assert "The request could not be understood" in answer.text


def test_its_error_pages_are_one_family(stack: Stack) -> None:
    """Each status for which it has words, and each that it can answer with by itself."""
    errors = stack.run("nginx", "cat", "/etc/nginx/errors.conf")
    maps = stack.run("nginx", "cat", "/etc/nginx/maps.conf")
    with_page = {*re.search(r"error_page (400[ \d]+) /\.error", errors)[1].split(), "502"}  # type: ignore[index]
    titles, advice = re.findall(r"map \$status \$error_\w+ {(.*?)\n}", maps, re.DOTALL)
    for words in (titles, advice):
        assert set(re.findall(r"^ +(\d{3}) ", words, re.MULTILINE)) <= with_page
    assert with_page >= {"400", "403", "404", "413", "429", "500", "502", "503", "504"}


def test_a_part_that_is_not_there_gets_no_half_made_page(stack: Stack) -> None:
    """nginx finds it too late to fill in the friendly one."""
    address = f"{stack.url}/static/welcome/landing.css"
    # With gzip, nginx 1.26 leaves the file's Content-Encoding on its own page: only the status counts.
    headers = {"Range": "bytes=9999999-", "Accept-Encoding": "identity"}
    answer = requests.get(address, headers=headers, timeout=5)
    assert answer.status_code == 416
    assert "<!--#" not in answer.text


def test_what_is_asked_of_it_is_logged_as_it_was(stack: Stack) -> None:
    """An error page is a GET to nginx."""
    answer = requests.post(f"{stack.url}/static/welcome/landing.css", timeout=5)
    assert answer.status_code == 405
    assert stack.log_entry("nginx", answer.headers["X-Request-ID"])["method"] == "POST"


FORGED = b"2026/11/29 12:00:00 [info] 7#7: *1 forged"


@pytest.mark.parametrize("character", [b"%0A", b"%0D", b"%1B", b"%09", b"%7F", b"%C2%9B"])
@pytest.mark.parametrize(
    "path", ["/static/", "/media/", "/private/", "/", "/.error", "/robots.txt"]
)
def test_no_client_can_write_a_line_of_its_error_log(
    stack: Stack, path: str, character: bytes
) -> None:
    """There, nginx shows the decoded path as it is."""
    began = time.time()
    target = path.encode() + character + FORGED.replace(b" ", b"%20")
    assert_refused(stack, b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target, began)


@pytest.mark.parametrize(
    ("path", "status"), [("/static/nope", 400), ("/media/nope", 400), ("/", 400), ("/.error", 404)]
)
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_no_client_can_write_to_a_terminal_through_its_error_log(
    stack: Stack, path: str, status: int, host: str
) -> None:
    """The header Referer stands there, too."""
    began = time.time()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nReferer: \x1b[2J\r\n".encode()
    length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % 10**12  # larger than it takes
    assert_refused(stack, head + length, began, status)


def assert_refused(stack: Stack, request: bytes, began: float, status: int = 400) -> None:
    [(answer, body)] = exchange(stack, request)
    assert answer.status == status
    assert f"Error {status}, request {answer.headers['X-Request-ID']}" in body
    stack.log_entry("nginx", str(answer.headers["X-Request-ID"]))
    log = stack.logs("nginx", began)
    assert [line for line in log.splitlines() if line[:1] != "{"] == []
    assert re.findall(r"[^\n -~\xa0-\uffff]", log) == []


def test_the_name_of_its_health_check_is_no_secret_door(stack: Stack) -> None:
    answer = requests.get(
        f"{stack.url}/?stranger", headers={"Host": "nginx.healthcheck"}, timeout=5
    )
    assert answer.status_code == 421
    assert stack.log_entry("nginx", "?stranger")["status"] == 421


def test_an_error_of_django_is_not_replaced(stack: Stack) -> None:
    answer = requests.get(f"{stack.url}/nothing-here", timeout=5)
    assert answer.status_code == 404
    assert "The requested resource was not found on this server." in answer.text


@pytest.mark.parametrize("path", ["/readyz", "//readyz", "/%72eadyz", "/x/../readyz"])
def test_readiness_is_not_for_strangers(stack: Stack, path: str) -> None:
    request = requests.Request("GET", stack.url).prepare()
    request.url = stack.url + path  # as it is: requests would tidy it up
    with requests.Session() as session:
        answer = session.send(request, timeout=5, allow_redirects=False)
    assert answer.status_code == (308 if path.startswith("//") else 404)
    entry = stack.log_entry("nginx", answer.headers["X-Request-ID"])
    assert (entry["uri"], entry["upstream_status"]) == (path, "")
