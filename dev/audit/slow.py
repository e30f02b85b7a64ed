"""
Attack a site with slow clients and measure what another visitor sees: slow.py MODE SITE; JSON on stdout.

MODE is "none" or one of slowhttptest's: H (headers), B (bodies), R (ranges), X (slow reading).
Runs in the tools' container.
"""

import contextlib
import csv
import json
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

SECONDS = 30
CONNECTIONS = 3000
FILE = "static/admin/js/vendor/jquery/jquery.js"
OPTIONS = {
    "H": ("", "-H", "-i", "5", "-x", "24"),
    "B": ("", "-B", "-i", "5", "-x", "24", "-s", "65536"),
    "R": (FILE, "-R", "-a", "1", "-b", "3000"),
    "X": (FILE, "-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3"),
}


def visit(site: str) -> float:
    """Return the seconds that a page of the app took on a new connection; raise ``OSError`` if it fails."""
    started = time.monotonic()
    context = ssl.create_default_context(cafile="/authority/root.pem")
    with urllib.request.urlopen(site, timeout=10, context=context) as answer:  # noqa: S310
        if b"It works." not in answer.read():
            raise OSError("another page")
    return time.monotonic() - started


def main(mode: str, site: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = ["sleep", str(SECONDS)]
        if mode != "none":
            path, *options = OPTIONS[mode]
            command = [
                "slowhttptest",
                "-c",
                str(CONNECTIONS),
                "-r",
                "300",
                "-l",
                str(SECONDS),
                "-p",
                "5",
            ]
            command += ["-g", "-o", f"{folder}/report", "-u", site + path, *options]
        attack = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        sent, seconds = 0, []
        while attack.poll() is None:
            sent += 1
            with contextlib.suppress(OSError):
                seconds.append(visit(site))
            time.sleep(0.1)
        rows = []
        if mode != "none":
            with Path(f"{folder}/report.csv").open() as file:
                rows = [
                    {name: int(cell) for name, cell in row.items()} for row in csv.DictReader(file)
                ]
    print(
        json.dumps(
            {
                "opened": max((row["Closed"] + row["Connected"] for row in rows), default=0),
                "at once": max((row["Connected"] for row in rows), default=0),
                # slowhttptest's own probe of the site, once a second.
                "unavailable": sum(not row["Service Available"] for row in rows),
                "sent": sent,
                "failed": sent - len(seconds),
                "median": statistics.median(seconds) if seconds else None,
                "worst": max(seconds, default=None),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
