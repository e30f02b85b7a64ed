"""
Wait until this uWSGI has accepted all requests that were queued at the public name of its socket, then pause its
workers. A stop must follow.

scripts/deploy uses this once another server has the public name. The socket's private name (names.py) leads to
the same queue: a request sent there is answered after all that were queued before.
"""

from .. import timeouts
from ..healthcheck import ask
from . import pause
from .names import OWN

if __name__ == "__main__":
    ask("/livez", str(OWN), timeouts.REQUEST)
    pause.main()
