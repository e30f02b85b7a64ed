"""What the workers of this uWSGI do, as it says at its stats socket: only within this container."""

import json
import socket
from typing import Any

STATS = "/tmp/stats.sock"


def workers() -> list[dict[str, Any]]:
    """
    Return what uWSGI says of each worker; raise ``OSError`` where it does not run.

    https://uwsgi-docs.readthedocs.io/en/latest/StatsServer.html
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(STATS)
        with connection.makefile("rb") as stream:
            found: list[dict[str, Any]] = json.load(stream)["workers"]
    return found
