"""Read what this uWSGI's workers do from its stats socket, which only this container can reach."""

import json
import socket
from typing import Any

STATS = "/tmp/stats.sock"


def workers() -> list[dict[str, Any]]:
    """
    Return uWSGI's statistics of each worker; raise ``OSError`` if uWSGI does not run.

    https://uwsgi-docs.readthedocs.io/en/latest/StatsServer.html
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(STATS)
        with connection.makefile("rb") as stream:
            found: list[dict[str, Any]] = json.load(stream)["workers"]
    return found
