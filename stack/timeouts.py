"""
Timeouts derived from the time that a request may take, in seconds. docs/settings.md has the whole table.

nginx answers with 504 exactly at the limit; each timeout here is a little longer than the one it depends on.
"""

import os

REQUEST = int(os.environ["SITE_REQUEST_TIMEOUT"])
WORKER = REQUEST + 2  # the worker is killed: its client has had a 504 by then
ALL_PAUSED = WORKER + 6  # how long a reload waits for all workers to pause
PAUSE = WORKER + 10  # how long a worker pauses; the reload or stop should end it before
UNFINISHED = REQUEST + 60  # older unfinished uploads are no longer being written
