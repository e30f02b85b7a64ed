"""
Ask the Emperor of this container whether all sites answer; exit 0 if so, else name those that do not.

For the Django site, ask as ``healthcheck`` does, too: it looks further than uWSGI can.
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
    """Return the ini files of the vassals whose workers take requests; ``OSError`` with no Emperor."""
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
        # Its socket is for its own user and group: become that, as the Emperor did for it.
        owner = mysite.stat()
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
        healthcheck.main()


if __name__ == "__main__":
    main()
