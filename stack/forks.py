"""
End the child processes of a view together with its worker, and end a view that forks without limit.

uWSGI kills a worker that takes too long, but not the worker's child processes; and when no more processes
can be created, it gives up replacing the worker.
https://docs.python.org/3/library/os.html#os.register_at_fork
"""

import ctypes
import os
import signal

import uwsgi  # exists only inside uWSGI

# Processes in the whole container; well below pids_limit (compose.yaml).
MOST_PROCESSES = int(os.environ["SITE_WORKERS"]) + 32


def before_fork():
    """End a worker whose view forks without limit, and all its child processes."""
    worker = uwsgi.worker_id()  # 0 in the master, which forks the workers
    if worker and sum(place.name.isdigit() for place in os.scandir("/proc")) > MOST_PROCESSES:
        for process in uwsgi.workers()[worker - 1]["pid"], os.getpid():
            os.kill(process, signal.SIGKILL)


def after_fork():
    """Make a view's child process end when its worker does; otherwise it might run forever."""
    if uwsgi.worker_id():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, prctl(2)
        if os.getppid() == 1:  # the worker ended before prctl took effect
            os._exit(1)


os.register_at_fork(before=before_fork, after_in_child=after_fork)
