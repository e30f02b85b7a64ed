"""
Give this uWSGI the public name of the socket, at which nginx asks: uwsgi/mysite.ini runs it.

When nobody serves there, at once: a site that is half ill is better than none. From a server that is
at work, as during a deploy, only when this one is ready, so that a release that boots but cannot
answer never gets a visitor.
"""

import os
import sys
import time

from ..healthcheck import ask
from .names import OWN, PUBLIC, serves, somebody_serves


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
