"""
Wait until this uWSGI has taken up all that waited for it at the public name of the socket, and then let its
workers pause, for the stop that must follow.

For scripts/deploy, when that name is already another server's: who asks at the name that stays this
server's own (names.py) is the last in the same queue, and answered after all the others.
"""

from .. import timeouts
from ..healthcheck import ask
from . import pause
from .names import OWN

if __name__ == "__main__":
    ask("/livez", str(OWN), timeouts.REQUEST)
    pause.main()
