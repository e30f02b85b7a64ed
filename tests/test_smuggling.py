"""Requests of which two programs could read different things: refused, or made clear by nginx."""

import re
import time

import pytest
import requests

from tests.support.people import arrived
from tests.support.raw import exchange
from tests.support.stack import Stack

HOST = b"Host: localhost\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def post(*headers: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST / HTTP/" + version + b"\r\n" + HOST + b"".join(headers) + b"\r\n" + body


def get(*headers: bytes, target: bytes = b"/livez", host: bytes = HOST) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + host + b"".join(headers) + b"\r\n"


END = b"0\r\n\r\n"

# Where a request ends. With a second one hidden in it, for whoever reads it in the other way.
REFUSED = {
    "length, then chunked": (400, post(LENGTH, CHUNKED, body=END + HIDDEN)),
    "chunked, then length": (400, post(CHUNKED, b"Content-Length: 5\r\n", body=END + HIDDEN)),
    "two lengths": (400, post(b"Content-Length: 0\r\n", LENGTH, body=HIDDEN)),
    "one length twice": (400, post(LENGTH, LENGTH, body=HIDDEN)),
    "a list of lengths": (400, post(b"Content-Length: 0, 43\r\n", body=HIDDEN)),
    "a length with a sign": (400, post(b"Content-Length: +0\r\n", body=HIDDEN)),
    "chunked twice": (400, post(CHUNKED, CHUNKED, body=END + HIDDEN)),
    "chunked, then identity": (400, post(CHUNKED, b"Transfer-Encoding: identity\r\n", body=END)),
    "a list of codings": (501, post(b"Transfer-Encoding: gzip, chunked\r\n", body=END + HIDDEN)),
    "identity": (501, post(b"Transfer-Encoding: identity\r\n", LENGTH, body=HIDDEN)),
    "nearly chunked": (501, post(b"Transfer-Encoding: xchunked\r\n", LENGTH, body=HIDDEN)),
    "chunked after a tab": (501, post(b"Transfer-Encoding: \x0bchunked\r\n", body=END + HIDDEN)),
    "space before the colon": (400, post(b"Transfer-Encoding : chunked\r\n", LENGTH, body=HIDDEN)),
    "space before the name": (400, post(b" Transfer-Encoding: chunked\r\n", LENGTH, body=HIDDEN)),
    "a folded line": (400, post(b"Transfer-Encoding:\r\n chunked\r\n", LENGTH, body=HIDDEN)),
    "chunked in HTTP/1.0": (400, post(CHUNKED, body=END + HIDDEN, version=b"1.0")),
    "a chunk without a number": (400, post(CHUNKED, body=b"x\r\n" + HIDDEN)),
    "a chunk that is too long": (400, post(CHUNKED, body=b"1\r\nabc\r\n" + END + HIDDEN)),
    "an extension with a line": (400, post(CHUNKED, body=b"5;\nxx\r\nhello\r\n" + END + HIDDEN)),
    # Who is asked.
    "two hosts": (400, get(b"Host: evil.example\r\n") + HIDDEN),
    "one host twice": (400, get(HOST) + HIDDEN),
    "no host": (400, get(host=b"")),
    "an empty host": (400, get(host=b"Host:\r\n")),
    "a list of hosts": (400, get(host=b"Host: localhost, evil.example\r\n")),
    "a host with a path": (400, get(host=b"Host: localhost/evil\r\n")),
    "a host with a space": (400, get(host=b"Host: localhost evil\r\n")),
    "a host with a user": (
        421,
        get(b"Connection: close\r\n", host=b"Host: localhost@evil.example\r\n"),
    ),
    "an address of another host": (
        421,
        get(b"Connection: close\r\n", target=b"http://evil.example/"),
    ),
    "an address with a user": (400, get(target=b"http://localhost@evil.example/")),
    # What is asked.
    "a header with a space": (400, get(b"X Bad: 1\r\n")),
    "a header without a name": (400, get(b": x\r\n")),
    "a header with NUL": (400, get(b"X-A: a\0b\r\n")),
    "a header with CR": (400, get(b"X-A: a\rX-B: b\r\n")),
    "an address with a control character": (400, get(target=b"/livez\x01")),
    "an address with a space": (400, get(target=b"/livez /hidden")),
    "HTTP/2.0 in words": (505, get().replace(b"HTTP/1.1", b"HTTP/2.0")),
    "HTTP/3.7": (505, get().replace(b"HTTP/1.1", b"HTTP/3.7")),
    "the beginning of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TRACE": (405, get().replace(b"GET", b"TRACE") + HIDDEN),
    "CONNECT": (400, b"CONNECT localhost:22 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a method in small letters": (400, get().replace(b"GET", b"get") + HIDDEN),
}

# How many answers come, and which: the site reads what nginx read, since it gets it taken apart.
MADE_CLEAR = {
    "two requests, one after the other": ([200, 404], get() + HIDDEN),
    "a GET with a body": ([200], get(LENGTH) + HIDDEN),
    "an underscore for a hyphen": ([403], post(b"Transfer_Encoding: chunked\r\n", LENGTH, body=HIDDEN)),
    "another length with an underscore": ([403], post(b"Content_Length: 0\r\n", LENGTH, body=HIDDEN)),
    "headers after the last chunk": (
        [403],
        post(CHUNKED, body=b"0\r\nContent-Length: 43\r\nHost: evil.example\r\n\r\n"),
    ),
    "an offer of HTTP/2": (
        [200],
        get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
    ),
}  # fmt: skip


@pytest.mark.expect_log('"status":50[15]')
@pytest.mark.parametrize("shape", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(stack: Stack, shape: str) -> None:
    status, request = REFUSED[shape]
    began = time.time()
    [(answer, body)] = exchange(stack, request)
    assert answer.status == status
    assert f"Error {status}, request {answer.headers['X-Request-ID']}" in body
    assert answer.headers["Connection"] == "close"  # what follows is not looked at
    entry = stack.log_entry("nginx", answer.headers["X-Request-ID"])
    assert entry["upstream_status"] == "", "Django was asked"
    assert "/hidden" not in re.sub(r"/livez /hidden", "", stack.logs("nginx", began))


@pytest.mark.parametrize("shape", MADE_CLEAR)
def test_what_nginx_makes_clear_is_read_in_one_way(stack: Stack, shape: str) -> None:
    statuses, request = MADE_CLEAR[shape]
    assert [answer.status for answer, _ in exchange(stack, request)] == statuses


def test_names_with_underscores_pass_for_nothing(stack: Stack) -> None:
    """To WSGI, X_Request_ID and X-Request-ID are one name."""
    forged = b"X_Request_ID: forged\r\nX_Forwarded_Proto: https\r\nHTTP_HOST: evil.example\r\n"
    page = get(forged, b"Connection: close\r\n", target=b"/")
    [(answer, body)] = exchange(stack, page)
    plain = arrived(requests.get(stack.url, headers={"Host": "localhost"}, timeout=5).text)
    assert arrived(body) == {**plain, "request id": answer.headers["X-Request-ID"]}

    # Not only those that nginx sets itself: with the right name, this one opens the door.
    token = "t" * 32
    for name, status in (("X-CSRFToken", 405), ("X_CSRFToken", 403)):
        headers = {name: token, "Cookie": f"csrftoken={token}"}
        assert requests.post(stack.url, headers=headers, timeout=5).status_code == status


@pytest.mark.parametrize("host", [HOST, b"Host: evil.example\r\n"])
def test_the_host_of_a_whole_address_is_the_one(stack: Stack, host: bytes) -> None:
    page = get(b"Connection: close\r\n", target=b"http://localhost/", host=host)
    [(answer, body)] = exchange(stack, page)
    assert answer.status == 200
    assert arrived(body)["host"] == "localhost"


@pytest.mark.parametrize(
    ("target", "host", "arrives"),
    [
        (b"http://localhost/", b"Host: localhost:9\r\n", "localhost"),
        (b"http://localhost:8/", b"Host: localhost:9\r\n", "localhost:8"),
        (b"http://localhost:8?x", b"Host: localhost\r\n", "localhost:8"),
        (b"http://localhost:8", b"Host: localhost\r\n", "localhost:8"),
        (b"http://[::1]/", b"Host: localhost:9\r\n", "[::1]"),
        (b"http://[::1]:8/", b"Host: localhost:9\r\n", "[::1]:8"),
        (b"/?next=http://localhost:8/", b"Host: localhost:9\r\n", "localhost:9"),
    ],
)
def test_the_port_of_a_whole_address_is_the_one(
    stack: Stack, target: bytes, host: bytes, arrives: str
) -> None:
    """RFC 9112 section 3.2.2: the header Host is ignored."""
    [(answer, body)] = exchange(stack, get(b"Connection: close\r\n", target=target, host=host))
    assert answer.status == 200
    assert arrived(body)["host"] == arrives
