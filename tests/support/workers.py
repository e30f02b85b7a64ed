"""Who answers the requests in a container of ours."""

from tests.support.stack import Stack

# In a shell (bash) there: the children of nginx's or uWSGI's master, which is a child of log-relay. (By their command
# lines: after a reload, uWSGI has Python's name.)
MASTER = r"$(cd /proc; grep --files-with-matches --text --extended-regexp '^nginx: master|mysite\.ini' $(printf '%s/cmdline ' $(<1/task/1/children)) | cut --delimiter=/ --fields=1)"
WORKERS = f"$(master={MASTER}; cat /proc/$master/task/$master/children)"


def workers(stack: Stack, service: str = "app") -> set[str]:
    """Return their process numbers."""
    return set(stack.run(service, "bash", "-c", f"echo {WORKERS}").split())
