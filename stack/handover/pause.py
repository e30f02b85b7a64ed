"""
Let every worker of this uWSGI finish its request and accept no other. A reload or a stop must follow.

Both end workers with a kernel signal (SIGHUP). If it arrives after a worker has accepted a request but
before the worker is marked as busy, the worker ends and the request is lost (core/uwsgi.c, gracefully_kill).
uWSGI's own signals are handled only between requests, so one of them (see uwsgi/mysite.ini) makes the workers
pause first (stack/wsgi.py). If a worker dies before it handles the signal, its successor does.
https://uwsgi-docs.readthedocs.io/en/latest/Signals.html
"""

import os
import sys
import time
from pathlib import Path

from .. import timeouts
from .stats import workers

SIGN = Path("/tmp/pause")  # uWSGI checks each second whether its mtime is newer


def main() -> None:
    """Wait until all workers pause; exit 1 if that takes longer than a request may."""
    deadline = time.monotonic() + timeouts.ALL_PAUSED
    seconds = int(SIGN.stat().st_mtime) + 1  # uWSGI compares whole seconds
    os.utime(SIGN, (seconds, seconds))
    # "sig17" while a worker handles a signal, of which there is only one; else idle, busy, …
    while busy := [each["status"] for each in workers() if not each["status"].startswith("sig")]:
        if time.monotonic() > deadline:
            sys.exit(f"the workers should all pause, but are: {', '.join(sorted({*busy}))}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
