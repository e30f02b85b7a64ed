"""
Ask this container's Emperor whether all sites accept requests; exit 0 if so, else name those that do not.

The Django site is also asked as ``stack.healthcheck`` does, which checks more than uWSGI can.
https://uwsgi-docs.readthedocs.io/en/latest/Emperor.html
"""

import json
import os
import socket
import sys
from pathlib import Path

from .. import healthcheck

STATS = "/run/emperor/stats.sock"
VASSALS = Path("/run/vassals")
TIMEOUT = 5  # seconds


def accepting() -> set[str]:
    """Return the ini files of the vassals whose workers accept requests; raise ``OSError`` without an Emperor."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(STATS)
        with connection.makefile("rb") as stream:
            stats = json.load(stream)
    return {vassal["id"] for vassal in stats["vassals"] if vassal["accepting"]}


def main() -> None:
    try:
        there = accepting()
    except OSError as error:
        sys.exit(f"{STATS}: {error}")
    inis = {file.name: file for file in VASSALS.glob("*.ini")}
    if not inis:
        sys.exit(f"there is no ini in {VASSALS}")
    if missing := sorted(inis.keys() - there):
        sys.exit(f"not accepting requests: {', '.join(missing)}")
    if mysite := inis.get("mysite.ini"):
        # Only its own user and group may use its socket, so switch to them, as the Emperor did.
        owner = mysite.stat()
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
        healthcheck.main()


if __name__ == "__main__":
    main()
