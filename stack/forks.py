"""
What a view forks ends with its worker, and a view that forks on and on is ended.

uWSGI kills a worker that takes too long, but not the processes that it has made; and where there is
no room for another process, it gives up to replace the worker.
https://docs.python.org/3/library/os.html#os.register_at_fork
"""

import ctypes
import os
import signal

import uwsgi  # made by uWSGI, when it runs us

# In the whole container; far from pids_limit (compose.yaml).
MOST_PROCESSES = int(os.environ["SITE_WORKERS"]) + 32


def before_fork():
    """End a worker whose view forks on and on, and each process that it has made."""
    worker = uwsgi.worker_id()  # 0 in the master, who forks the workers
    if worker and sum(place.name.isdigit() for place in os.scandir("/proc")) > MOST_PROCESSES:
        for process in uwsgi.workers()[worker - 1]["pid"], os.getpid():
            os.kill(process, signal.SIGKILL)


def after_fork():
    """Let a process that a view has made end when its worker does: else it might run for ever."""
    if uwsgi.worker_id():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, prctl(2)
        if os.getppid() == 1:  # it ended before that
            os._exit(1)


os.register_at_fork(before=before_fork, after_in_child=after_fork)
