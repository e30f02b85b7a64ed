"""
A client for the uwsgi protocol, which nginx speaks to uWSGI.

https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html

One file with only the standard library: it is also run inside a container, where the socket is
(``whichhop.target.stack.Stack.uwsgi``), with the Python that is there (3.9 or later).
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

PYTHON = 0  # modifier1 of a WSGI request
PING = 100  # modifier1 of a ping


class Response(NamedTuple):
    """An answer: status code, headers in order (names in lower case), body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def packet(variables: Mapping[str, str], modifier1: int = PYTHON, modifier2: int = 0) -> bytes:
    """
    Return the first packet of a request: a 4-byte header and the block of variables.

    Raise ``struct.error`` if the block is longer than 65,535 bytes, the limit of its size field.
    """
    block = b"".join(
        struct.pack("<H", len(text)) + text
        for pair in variables.items()
        for text in (item.encode() for item in pair)
    )
    return struct.pack("<BHB", modifier1, len(block), modifier2) + block


def exchange(address: str | tuple[str, int], data: bytes, timeout: float = 5) -> bytes:
    """
    Send ``data`` to a socket, a path or ``(host, port)``, and return everything that it answers.

    Raise ``OSError`` if it cannot be reached, or sends nothing for ``timeout`` seconds.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(timeout)
        connection.connect(address if isinstance(address, str) else tuple(address))
        if data:  # the stats server sends at once and may have closed by now; then even sending nothing fails
            connection.sendall(data)
        with connection.makefile("rb") as stream:
            return stream.read()


def ping(address: str | tuple[str, int], timeout: float = 5) -> bool:
    """Return whether uWSGI answers a ping; raise ``OSError`` as ``exchange`` does."""
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
    return parse(exchange(address, packet({**defaults, **variables}) + body, timeout))


def http(address: str | tuple[str, int], host: str, timeout: float = 5) -> Response:
    """
    Return the answer to the same request in plain HTTP; a server that answers it does not speak uwsgi.

    Raise as ``request`` does. To a uwsgi socket, these bytes are the start of a packet of 21,573
    bytes ("ET" of "GET", https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html): a worker may
    wait for the rest until the client hangs up.
    """
    call = f"GET / HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    return parse(exchange(address, call.encode(), timeout))


def stats(address: str | tuple[str, int], timeout: float = 5) -> list[str]:
    """
    Return what each worker does, in words, according to uWSGI's stats server.

    https://uwsgi-docs.readthedocs.io/en/latest/StatsServer.html
    Of a request, only method and path are shown: the rest is private. Raise ``OSError`` without an answer,
    ``ValueError`` if it is not JSON.
    """
    said = []
    for worker in json.loads(exchange(address, b"", timeout))["workers"]:
        line = f"worker {worker['id']} (pid {worker['pid']}): {worker['status']}"
        for core in worker["cores"]:
            variables = dict(pair.partition("=")[::2] for pair in core.get("vars", []))
            if core["in_request"] and "REQUEST_URI" in variables:
                path = variables["REQUEST_URI"].partition("?")[0]
                line += f", {variables.get('REQUEST_METHOD', '')} {path}"
                if since := core.get("req_info", {}).get("request_start"):
                    line += f", for {time.time() - since:.0f} s"
        said.append(line)
    return said


def parse(answer: bytes) -> Response:
    """Return the parts of an answer; raise ``ValueError`` if it is not HTTP."""
    head, separator, content = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not separator or not lines[0].startswith("HTTP/"):
        raise ValueError(f"not an HTTP answer: {answer[:100]!r}")
    headers = [line.split(": ", 1) for line in lines[1:]]
    return Response(
        int(lines[0].split()[1]), [(name.lower(), value) for name, value in headers], content
    )


def main() -> None:
    """Run one call given as JSON, e.g. ``["ping", "/run/app.sock"]``; print its result."""
    function, *arguments = json.loads(sys.argv[1])
    try:
        if function == "ping":
            result: object = ping(*arguments)
        elif function == "stats":
            result = stats(*arguments)
        else:
            if function == "http":
                response = http(*arguments)
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
