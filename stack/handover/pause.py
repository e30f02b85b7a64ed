"""
Let every worker of this uWSGI finish its request and take no other, for the reload or the stop that
must follow.

Both end workers by a signal of the kernel (SIGHUP). One that comes just when a worker has taken a
request, and has not yet noted that it has, ends it with the request (core/uwsgi.c, gracefully_kill).
uWSGI's own signals are looked at between two requests only; so one of those, of uwsgi/mysite.ini, has
the workers pause first (uwsgi/timed_wsgi.py). For a worker that dies before it looks, its successor does.
https://uwsgi-docs.readthedocs.io/en/latest/Signals.html
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

STATS = "/tmp/stats.sock"
SIGN = Path("/tmp/pause")  # each second, uWSGI looks whether its time of change is a later one


def statuses() -> set[str]:
    """Return what the workers are doing, as uWSGI says it: idle, busy, sig17…"""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(STATS)
        with connection.makefile("rb") as stream:
            return {worker["status"] for worker in json.load(stream)["workers"]}


def main() -> None:
    """Wait until they all pause; exit 1 when that takes longer than a request may."""
    deadline = time.monotonic() + int(os.environ["SITE_REQUEST_TIMEOUT"]) + 8
    seconds = int(SIGN.stat().st_mtime) + 1  # uWSGI compares whole ones
    os.utime(SIGN, (seconds, seconds))
    while (now := statuses()) != {"sig17"}:
        if time.monotonic() > deadline:
            sys.exit(f"the workers should all pause, but are: {', '.join(sorted(now))}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
