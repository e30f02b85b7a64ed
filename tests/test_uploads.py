"""An upload that goes wrong leaves nothing behind: no temporary file, no half media."""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import pytest
import requests

from tests.support.people import png
from tests.support.raw import connect
from tests.support.stack import Stack

BOUNDARY = "----a-form"
SIZE = 6_000_000  # over 16 KB nginx keeps a body in a file; over 2.5 MB Django does, too
PATH = "/admin/welcome/upload/add/"

# Files by their names, and those without a name that are still open: what nginx makes is of this kind,
# so that nothing could be left even by an nginx that is killed.
PLACES = {"nginx": "/var/cache/nginx", "app": "/srv/media/tmp"}


def temporary_files(stack: Stack) -> list[str]:
    found = []
    for service, place in PLACES.items():
        find = f"find {place} -type f; find /proc/[0-9]*/fd -lname '{place}/*' 2>/dev/null"
        found += stack.exec(service, "bash", "-c", find).out.split()
    return found


def media(stack: Stack) -> str:
    return stack.run("app", "find", "/srv/media/public", "/srv/media/private", "-type", "f")


@pytest.fixture
def spotless(stack: Stack, admin: requests.Session) -> Iterator[None]:
    """Nothing is left in the end: what nginx and Django do when a client goes may take a moment."""
    before = media(stack)
    assert temporary_files(stack) == []
    yield
    stack.wait("temporary files are gone", lambda: not temporary_files(stack), 5)
    assert media(stack) == before


def form(token: str, title: str = "half") -> bytes:
    """Return a form with a picture and a large file, as a browser would send it."""

    def part(name: str, content: bytes, extra: str = "") -> bytes:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
        return head.encode() + content + b"\r\n"

    return (
        part("csrfmiddlewaretoken", token.encode())
        + part("title", title.encode())
        + part("image", png(), '; filename="half.png"\r\nContent-Type: image/png')
        + part("attachment", b"x" * SIZE, '; filename="half.bin"')
        + f"--{BOUNDARY}--\r\n".encode()
    )


def head(person: requests.Session, *lines: str) -> bytes:
    cookies = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    return "\r\n".join(
        [
            f"POST {PATH} HTTP/1.1",
            "Host: localhost",
            f"Cookie: {cookies}",
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
            *lines,
            "\r\n",
        ]
    ).encode()


def token(person: requests.Session) -> str:
    return str(person.cookies["csrftoken"])


def status(client: socket.socket) -> int | None:
    """Return the status of the answer, ``None`` when the connection ends without one."""
    client.settimeout(30)
    with contextlib.suppress(ConnectionResetError):
        if answer := client.recv(4096):
            return int(answer.split(b" ", 2)[1])
    return None


def leave(client: socket.socket) -> None:
    """Go away as a program does that crashes: with a reset, without a good-bye."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.usefixtures("spotless")
@pytest.mark.parametrize("end", ["close", "reset", "shutdown"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_client_that_goes_in_the_middle(
    stack: Stack, admin: requests.Session, framing: str, end: str
) -> None:
    body = form(token(admin))
    with connect(stack) as client:
        if framing == "length":
            client.sendall(head(admin, f"Content-Length: {len(body)}") + body[: SIZE // 2])
        else:
            chunk = f"{SIZE:x}\r\n".encode() + body[: SIZE // 2]
            client.sendall(head(admin, "Transfer-Encoding: chunked") + chunk)
        # Half of it is on disk, or else this test would prove nothing.
        stack.wait("a temporary file", lambda: bool(temporary_files(stack)), 5)
        if end == "close":
            client.close()
        elif end == "reset":
            leave(client)
        else:
            client.shutdown(socket.SHUT_WR)
            assert status(client) in (None, 400)


@pytest.mark.usefixtures("spotless")
@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (b"5\r\nhello\r\nxyz\r\n", 400),  # no number
        (b"5\r\nhello, and more\r\n0\r\n\r\n", 400),  # longer than it says
        (b"-5\r\nhello\r\n0\r\n\r\n", 400),
        (b"0x5\r\nhello\r\n0\r\n\r\n", 400),
        (b"ffffffffffffffffff\r\nhello\r\n", 400),  # more than 64 bits
        (b"7fffffffffffffff\r\nhello\r\n", 400),
        (b"4b00001\r\nhello\r\n", 413),  # one byte over the limit
    ],
)
def test_chunks_that_make_no_sense(
    stack: Stack, admin: requests.Session, chunks: bytes, expected: int
) -> None:
    with connect(stack) as client:
        client.sendall(head(admin, "Transfer-Encoding: chunked") + chunks)
        assert status(client) == expected


@pytest.mark.usefixtures("spotless")
@pytest.mark.parametrize("length", ["-1", "+5", "5x", "0x10", "1e3", "5, 5", "", "9" * 30])
def test_lengths_that_make_no_sense(stack: Stack, admin: requests.Session, length: str) -> None:
    with connect(stack) as client:
        client.sendall(head(admin, f"Content-Length: {length}") + b"hello")
        assert status(client) in (400, 413)


@pytest.mark.usefixtures("spotless")
def test_a_form_that_ends_too_early(stack: Stack, admin: requests.Session) -> None:
    """The length is right, but the last part has no end: Django stores nothing of it."""
    body = form(token(admin), title="")[: -SIZE // 2]
    with connect(stack) as client:
        client.sendall(head(admin, f"Content-Length: {len(body)}", f"Origin: {stack.url}") + body)
        assert status(client) in (200, 400)  # the form again


@pytest.mark.usefixtures("spotless")
@pytest.mark.parametrize(("csrf", "title", "expected"), [("right", "", 200), ("wrong", "a", 403)])
def test_a_form_that_django_refuses(
    stack: Stack, admin: requests.Session, csrf: str, title: str, expected: int
) -> None:
    body = form(token(admin) if csrf == "right" else "wrong", title)
    with connect(stack) as client:
        client.sendall(head(admin, f"Content-Length: {len(body)}", f"Origin: {stack.url}") + body)
        assert status(client) == expected


@pytest.mark.usefixtures("spotless")
def test_a_client_that_stops_sending_is_let_go_and_holds_nobody_up(
    stack: Stack, admin: requests.Session
) -> None:
    """More of them than there are workers, each in the middle of its upload."""
    body = form(token(admin))
    with contextlib.ExitStack() as clients:
        stalled = [clients.enter_context(connect(stack)) for _ in range(8)]
        for client in stalled:
            client.sendall(head(admin, f"Content-Length: {len(body)}") + body[: SIZE // 20])
        began = time.monotonic()
        stack.wait("temporary files", lambda: len(temporary_files(stack)) == 8, 5)
        assert requests.get(stack.url, timeout=2).ok
        for client in stalled:
            assert status(client) in (None, 408)
        assert 15 < time.monotonic() - began < 30  # client_body_timeout
