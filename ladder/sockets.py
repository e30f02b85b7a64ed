"""
Compare TCP with a Unix socket and nothing else: one uWSGI with hello.py on both, with alternating requests.

``ladder.measure`` runs this file inside a container, so it uses only the standard library. It
prints the median microseconds of a request over TCP and over the Unix socket.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import struct
import subprocess
import time

ADDRESSES: tuple[tuple[str, int] | str, ...] = (("127.0.0.1", 8001), "/tmp/mysite.sock")  # noqa: S108
COMMAND = (
    "uwsgi --socket 127.0.0.1:8001 --socket /tmp/mysite.sock --wsgi-file /ladder/hello.py"
    " --disable-logging --max-fd 256"
)
PAIRS = 5000
BLOCK = b"".join(
    struct.pack("<H", len(text)) + text
    for text in (b"REQUEST_METHOD", b"GET", b"PATH_INFO", b"/", b"SERVER_PROTOCOL", b"HTTP/1.1")
)
REQUEST = struct.pack("<BHB", 0, len(BLOCK), 0) + BLOCK


def ask(address: tuple[str, int] | str) -> float:
    """Return the time of one request (connect, send, receive) in seconds. Raise ``OSError`` without an answer."""
    started = time.perf_counter()
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.connect(address)
        connection.sendall(REQUEST)
        received = b""
        while data := connection.recv(4096):
            received += data
    if not received.endswith(b"Hello World"):
        raise OSError(f"no answer at {address}: {received!r}")
    return time.perf_counter() - started


def main() -> None:
    """Measure, alternating between the two, and print the medians."""
    server = subprocess.Popen(COMMAND.split(), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                ask(ADDRESSES[1])
                break
            time.sleep(0.05)
        pairs = [[ask(address) for address in ADDRESSES] for _ in range(PAIRS)]
    finally:
        server.kill()
    print(*(statistics.median(column) * 1e6 for column in zip(*pairs, strict=True)))


if __name__ == "__main__":
    main()
