"""
Give this uWSGI the public name of the socket, at which nginx asks: uwsgi/mysite.ini runs it.

When nobody serves there, at once: a site that is half ill is better than none. From a server that is
at work, as during a deploy, only when this one is ready, so that a release that boots but cannot
answer never gets a visitor.
"""

import os
import socket
import sys
import time
from pathlib import Path

from ..healthcheck import ask

PUBLIC = Path("/run/uwsgi/mysite.sock")
OWN = PUBLIC.with_name(f"{socket.gethostname()}.sock")


def somebody_serves() -> bool:
    """Return whether a server listens at the public name, this one or another."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(PUBLIC))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # its queue is full
            return True
    return True


def ready() -> bool:
    """Return whether this server answers, and has all that it needs."""
    try:
        return ask("/readyz")[0] == 200
    except OSError:
        return False


def publish() -> None:
    """Put a second name of the socket over the public one, in one step; the first stays."""
    link = OWN.with_suffix(".new")
    link.unlink(missing_ok=True)
    os.link(OWN, link)
    link.replace(PUBLIC)


def serves() -> bool:
    """Return whether the public name is this server's."""
    return PUBLIC.exists() and OWN.exists() and PUBLIC.samefile(OWN)


def main() -> None:
    """Wait for the right moment, for ever if need be."""
    while not serves():  # after a reload it does
        if not somebody_serves() or ready():
            publish()
        else:
            time.sleep(0.5)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serves"]:
        sys.exit(not serves())
    main()
