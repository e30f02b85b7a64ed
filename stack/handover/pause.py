"""
Let every worker of this uWSGI finish its request and take no other, for the reload or the stop that
must follow.

Both end workers by a signal of the kernel (SIGHUP). One that comes just when a worker has taken a
request, and has not yet noted that it has, ends it with the request (core/uwsgi.c, gracefully_kill).
uWSGI's own signals are looked at between two requests only; so one of those (the one in uwsgi/mysite.ini)
has the workers pause first (stack/wsgi.py). For a worker that dies before it looks, its successor does.
https://uwsgi-docs.readthedocs.io/en/latest/Signals.html
"""

import os
import sys
import time
from pathlib import Path

from .. import timeouts
from .stats import workers

SIGN = Path("/tmp/pause")  # each second, uWSGI looks whether its time of change is a later one


def main() -> None:
    """Wait until they all pause; exit 1 when that takes longer than a request may."""
    deadline = time.monotonic() + timeouts.ALL_PAUSED
    seconds = int(SIGN.stat().st_mtime) + 1  # uWSGI compares whole ones
    os.utime(SIGN, (seconds, seconds))
    # "sig17" while a worker handles a signal, and there is only one; else idle, busy, …
    while busy := [each["status"] for each in workers() if not each["status"].startswith("sig")]:
        if time.monotonic() > deadline:
            sys.exit(f"the workers should all pause, but are: {', '.join(sorted({*busy}))}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
