"""
The uwsgi protocol, client side: what nginx says to uWSGI, said by us.

https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html

Only the standard library, and one file: the harness also runs it inside a container, beside a socket
that cannot be reached from outside (``hops.stack.Stack.uwsgi``).
"""

import json
import socket
import struct
import sys
from collections.abc import Mapping
from typing import NamedTuple

PYTHON = 0  # modifier1 of a WSGI request
PING = 100  # modifier1 of "are you there?"


class Response(NamedTuple):
    """What came back: status code, headers in order (names in lower case), body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def packet(variables: Mapping[str, str], modifier1: int = PYTHON, modifier2: int = 0) -> bytes:
    """
    Return the bytes that open a request: a 4-byte header and the block of variables.

    Raise ``struct.error`` when the block is longer than the 65,535 bytes that its size field holds.
    """
    block = b"".join(
        struct.pack("<H", len(text)) + text
        for pair in variables.items()
        for text in (item.encode() for item in pair)
    )
    return struct.pack("<BHB", modifier1, len(block), modifier2) + block


def exchange(address: str | tuple[str, int], data: bytes, timeout: float = 5) -> bytes:
    """
    Send ``data`` to a socket, a path or ``(host, port)``, and return all that comes back.

    Raise ``OSError`` when it cannot be reached, or stays silent for ``timeout`` seconds.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        connection.sendall(data)
        with connection.makefile("rb") as stream:
            return stream.read()


def ping(address: str | tuple[str, int], timeout: float = 5) -> bool:
    """Return whether a uWSGI answers a ping; raise ``OSError`` as ``exchange`` does."""
    return exchange(address, packet({}, PING), timeout) == struct.pack("<BHB", PING, 0, 1)


def request(
    address: str | tuple[str, int],
    variables: Mapping[str, str],
    body: bytes = b"",
    timeout: float = 5,
) -> Response:
    """
    Return the answer to a request; ``variables`` are added to those of a plain ``GET /``.

    Raise ``OSError`` as ``exchange`` does, and ``ValueError`` when the answer is not HTTP.
    """
    defaults = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "CONTENT_LENGTH": str(len(body)),
    }
    answer = exchange(address, packet({**defaults, **variables}) + body, timeout)
    head, separator, content = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not separator or not lines[0].startswith("HTTP/"):
        raise ValueError(f"not an HTTP answer: {answer[:100]!r}")
    headers = [line.split(": ", 1) for line in lines[1:]]
    return Response(
        int(lines[0].split()[1]), [(name.lower(), value) for name, value in headers], content
    )


def main() -> None:
    """Run one call given as JSON, e.g. ``["ping", "/run/uwsgi/mysite.sock"]``; print its result."""
    function, *arguments = json.loads(sys.argv[1])
    try:
        if function == "ping":
            result: object = ping(*arguments)
        else:
            address, variables, *rest = arguments
            body, *timeout = rest or [""]
            response = request(address, variables, body.encode(), *timeout)
            result = [response.status, response.headers, response.body.decode("latin-1")]
    except (OSError, ValueError) as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
