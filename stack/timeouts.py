"""
What hangs on the time that a request may take, in seconds. docs/settings.md has the whole table.

nginx answers with 504 at the limit itself; everything here waits a little longer than what it waits for.
"""

import os

REQUEST = int(os.environ["SITE_REQUEST_TIMEOUT"])
WORKER = REQUEST + 2  # the worker is ended: its client has had its 504
ALL_PAUSED = WORKER + 6  # after that, a reload gives up waiting until all workers pause
PAUSE = (
    WORKER + 10
)  # for which a worker pauses; the reload or the stop that should follow ends it before
UNFINISHED = REQUEST + 60  # nobody is still writing an upload that is older
