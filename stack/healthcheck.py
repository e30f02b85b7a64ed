"""
Ask the uWSGI of this container whether the site is ready; exit 0 if so, else say why and exit 1.

Speaks the uwsgi protocol at the private socket, as nginx does at the public one. So it tests this
very instance, with a real request through middleware and ALLOWED_HOSTS.
https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html
"""

import os
import socket
import struct
import sys
from urllib.parse import urlsplit

from .handover.names import PUBLIC, serves, somebody_serves

SOCKET = "/tmp/uwsgi.sock"
TIMEOUT = 5  # seconds; a little less than the health check's timeout in compose.yaml


def ask(path: str, at: str = SOCKET, seconds: float = TIMEOUT) -> tuple[int, str]:
    """Return status code and body of a GET; raise ``OSError`` without an answer in time."""
    public_url = urlsplit(os.environ["SITE_URL"].split(",")[0])
    variables = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "REQUEST_URI": path,
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": public_url.hostname or "",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": public_url.netloc,
        "HTTPS": "on" if public_url.scheme == "https" else "",
    }
    block = b"".join(
        struct.pack("<H", len(text)) + text
        for pair in variables.items()
        for text in (each.encode() for each in pair)
    )
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(at)
        connection.sendall(struct.pack("<BHB", 0, len(block), 0) + block)
        with connection.makefile("rb") as stream:
            head, _, body = stream.read().partition(b"\r\n\r\n")
    if not head:
        raise ConnectionError("the connection was closed without an answer")
    return int(head.split()[1]), body.decode()


def main() -> None:
    try:
        status, body = ask("/readyz")
    except OSError as error:
        sys.exit(f"{SOCKET}: {error}")
    print(status, body)
    # After the start, promote takes a moment; until it is done, nginx cannot connect, so this is not healthy.
    if status == 200 and not (serves() or somebody_serves()):
        sys.exit(f"nobody serves at {PUBLIC}")
    sys.exit(0 if status == 200 else 1)


if __name__ == "__main__":
    main()
