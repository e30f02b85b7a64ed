"""The limits: up to each of them all is well, and what goes beyond is refused in a friendly way."""

import contextlib
import socket
import time
from collections.abc import Callable

import pytest
import requests

from tests.support.memory import memory
from tests.support.people import create_user, log_in, png
from tests.support.raw import connect, exchange
from tests.support.stack import Stack

LIMIT = 75 * 2**20  # bytes of a request body, the tutorial's 75 MB


def form(size: int, token: str) -> tuple[bytes, str]:
    """Return a multipart form of exactly ``size`` bytes with a large file in it, and its type."""

    def encode(large: bytes) -> tuple[bytes, str]:
        request = requests.Request(
            "POST",
            "http://localhost",
            data={"title": "as large as it gets", "csrfmiddlewaretoken": token},
            files={
                "image": ("small.png", png(), "image/png"),
                "attachment": ("large.bin", large, "application/octet-stream"),
            },
        ).prepare()
        assert isinstance(request.body, bytes)
        return request.body, request.headers["Content-Type"]

    overhead = len(encode(b"x")[0]) - 1
    body, content_type = encode(b"x" * (size - overhead))
    assert len(body) == size
    return body, content_type


def test_75_megabytes_are_stored_and_one_byte_more_is_not(
    new_stack: Callable[..., Stack],
) -> None:
    stack = new_stack()
    create_user(stack, "admin")
    person = log_in(stack, "admin")
    token = person.cookies["csrftoken"]
    address = f"{stack.url}/admin/welcome/upload/add/"
    before = {service: memory(stack, service) for service in ("app", "nginx")}

    for size, status in ((LIMIT, 302), (LIMIT + 1, 413)):
        body, content_type = form(size, token)
        answer = person.post(
            address,
            data=body,
            headers={"Content-Type": content_type, "Origin": stack.url},
            allow_redirects=False,
            timeout=60,
        )
        assert answer.status_code == status
    assert "The site takes uploads of up to 75 MB." in answer.text
    assert stack.log_entry("nginx", answer.headers["X-Request-ID"])["upstream_status"] == ""

    stored = stack.run(
        "app", "bash", "-c", "stat --format '%s %a' /srv/media/private/attachments/*"
    )
    size_stored, mode = stored.split()
    assert LIMIT - 1000 < int(size_stored) < LIMIT
    assert mode == "640"

    # Nothing of the transfer is left behind, and at no time was it in memory.
    assert stack.run("app", "ls", "-A", "/srv/media/tmp") == ""
    assert stack.run("nginx", "find", "/var/cache/nginx", "-type", "f") == ""
    # (The first admin pages of the other workers take some: 25 MB is far from twice 75.)
    for service, most in before.items():
        assert memory(stack, service) - most < 25 * 2**20, service


@pytest.mark.parametrize("header", ["Content-Length: 78643201", "Content-Length: 99999999999"])
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(stack: Stack, header: str) -> None:
    with socket.create_connection(("localhost", int(stack.variables["SITE_PORT"])), 5) as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_arrives_whole(stack: Stack, admin: requests.Session) -> None:
    """uWSGI gets a Content-Length: nginx has taken the chunks apart."""
    page = admin.get(f"{stack.url}/admin/welcome/upload/add/", timeout=5)
    assert page.status_code == 200
    body, content_type = form(300_000, admin.cookies["csrftoken"])
    answer = admin.post(
        f"{stack.url}/admin/welcome/upload/add/",
        data=(body[start : start + 7_000] for start in range(0, len(body), 7_000)),
        headers={"Content-Type": content_type, "Origin": stack.url},
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code == 302


# -- attempts to log in


def test_who_guesses_passwords_is_told_to_wait(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    address = f"{stack.url}/admin/login/"

    def attempt(path: str = "/admin/login/") -> requests.Response:
        return requests.post(stack.url + path, data={"username": "admin"}, timeout=5)

    # Twenty-one, and what became free meanwhile; then no more, whatever the spelling.
    attempts = 0
    while (answer := attempt()).status_code == 403:  # Django's: without its cookie
        attempts += 1
        assert attempts < 30, "no limit"
    assert attempts >= 21
    for path in ("/admin/login/", "/admin/login/?next=/", "//admin/%6cogin/", "/accounts/login"):
        answer = attempt(path)
        assert answer.status_code == 429, path
        assert "Too many attempts" in answer.text
        assert answer.headers["X-Request-ID"] in answer.text
        assert answer.headers["Retry-After"] == "6"
        assert answer.headers["Cache-Control"] == "no-store"
        entry = stack.log_entry("nginx", answer.headers["X-Request-ID"])
        assert (entry["method"], entry["upstream_status"]) == ("POST", "")

    # Everything else goes on: the form itself, other forms, and files.
    with requests.Session() as others:
        for path in (address, stack.url, f"{stack.url}/static/welcome/landing.css"):
            assert {others.get(path, timeout=5).status_code for _ in range(40)} == {200}
        assert others.post(f"{stack.url}/admin/", timeout=5).status_code != 429

    # After the time that was named, one more attempt is free.
    time.sleep(int(answer.headers["Retry-After"]))
    assert attempt().status_code == 403


# -- headers, and the time they take


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("/?" + "a" * 8_000, {}, 200),
        ("/?" + "a" * 8_200, {}, 414),
        ("/", {"X-One": "a" * 8_000}, 200),
        ("/", {"X-One": "a" * 8_200}, 400),
        ("/", {f"X-{number}": "a" * 7_000 for number in range(3)}, 200),
        ("/", {f"X-{number}": "a" * 7_000 for number in range(5)}, 400),
        ("/", {f"X-{number}": "a" for number in range(500)}, 200),
        ("/", {f"X-{number}": "a" for number in range(2_000)}, 400),
    ],
    ids=["address", "long address", "header", "long header", "3 long", "5 long", "500", "2000"],
)
def test_the_size_of_headers(
    stack: Stack, request_line: str, headers: dict[str, str], status: int
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET {request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n"
    [(answer, body)] = exchange(stack, request.encode())
    assert answer.status == status
    assert status == 200 or f"Error {status}, request " in body


def test_a_client_that_is_slow_with_its_headers_is_let_go(stack: Stack) -> None:
    """However busy it seems: the time is for all of them. Others are served meanwhile."""
    with contextlib.ExitStack() as clients:
        slow = [clients.enter_context(connect(stack)) for _ in range(200)]
        for client in slow:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        began = time.monotonic()
        open_ones = set(slow)
        while open_ones and time.monotonic() - began < 20:
            assert requests.get(stack.url, timeout=2).ok
            time.sleep(0.5)
            for client in list(open_ones):
                try:
                    client.sendall(b"X-Slow: 1\r\n")
                    client.setblocking(False)
                    if client.recv(1000) == b"":
                        open_ones.remove(client)
                except BlockingIOError:
                    client.setblocking(True)
                except (BrokenPipeError, ConnectionResetError):
                    open_ones.remove(client)
        assert not open_ones
        assert time.monotonic() - began > 8  # client_header_timeout, not something else
