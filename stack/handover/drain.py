"""
Wait until this uWSGI has taken up all that waited for it at the public name of the socket.

For scripts/deploy, when that name is already another server's: who asks at the name that stays this
server's own (uwsgi/publish.py) is the last in the same queue, and answered after all the others.
"""

import os

from healthcheck import ask
from publish import OWN

if __name__ == "__main__":
    ask("/livez", str(OWN), float(os.environ["SITE_REQUEST_TIMEOUT"]))
