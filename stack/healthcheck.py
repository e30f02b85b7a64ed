"""
Ask the uWSGI of this container whether the site is ready; exit 0 if so, else say why and exit 1.

Speaks the uwsgi protocol over the private socket, as nginx does over the public one: what is
judged is this instance, with a real request through URLs, middleware and ALLOWED_HOSTS.
https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html
"""

import os
import socket
import struct
import sys
from urllib.parse import urlsplit

from .handover.names import PUBLIC, serves, somebody_serves

SOCKET = "/tmp/uwsgi.sock"
TIMEOUT = 5  # seconds; compose.yaml gives up a little later


def ask(path: str, at: str = SOCKET, seconds: float = TIMEOUT) -> tuple[int, str]:
    """Return status code and body of a GET; raise ``OSError`` when nobody answers in time."""
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
    # Where it starts, "healthy" would else be said before nginx can ask: promote needs a moment.
    if status == 200 and not (serves() or somebody_serves()):
        sys.exit(f"nobody serves at {PUBLIC}")
    sys.exit(0 if status == 200 else 1)


if __name__ == "__main__":
    main()
