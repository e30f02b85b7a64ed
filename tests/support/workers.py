"""The worker processes in a container of the stack."""

from tests.support.stack import Stack

# For bash in the container: the children of nginx's or uWSGI's master, which is a child of log-relay. (Found
# by command line: after a reload, the process name of uWSGI is Python's.)
MASTER = r"$(cd /proc; grep --files-with-matches --text --extended-regexp '^nginx: master|mysite\.ini' $(printf '%s/cmdline ' $(<1/task/1/children)) | cut --delimiter=/ --fields=1)"
WORKERS = f"$(master={MASTER}; cat /proc/$master/task/$master/children)"


def workers(stack: Stack, service: str = "app") -> set[str]:
    """Return their process ids."""
    return set(stack.run(service, "bash", "-c", f"echo {WORKERS}").split())
