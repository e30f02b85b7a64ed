"""
Give this uWSGI the public name of the socket, to which nginx connects. uwsgi/mysite.ini runs this.

If no server has that name, take it at once: a site that works in part is better than none. If another server
has it, as during a deploy, take it only when this one is ready, so that a release which starts but cannot
answer never gets a request.
"""

import os
import sys
import time

from ..healthcheck import ask
from .names import OWN, PUBLIC, serves, somebody_serves


def ready() -> bool:
    """Return whether this server answers and passes its own health checks."""
    try:
        return ask("/readyz")[0] == 200
    except OSError:
        return False


def publish() -> None:
    """Make the public name a hard link to this socket, atomically; its private name stays."""
    link = OWN.with_suffix(".new")
    link.unlink(missing_ok=True)
    os.link(OWN, link)
    link.replace(PUBLIC)


def main() -> None:
    """Take the public name as soon as that is right; wait forever if need be."""
    while not serves():  # after a reload it has it already
        if not somebody_serves() or ready():
            publish()
        else:
            time.sleep(0.5)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serves"]:
        sys.exit(not serves())
    main()
