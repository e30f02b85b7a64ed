"""Who answers the requests in a container of ours."""

from hops.stack import Stack

# In a shell there: the children of its first process, but for the two that log-relay started first.
WORKERS = "$(cut --delimiter=' ' --fields=3- /proc/1/task/1/children)"


def workers(stack: Stack, service: str = "app") -> set[str]:
    """Return their process numbers."""
    return set(stack.run(service, "bash", "-c", f"echo {WORKERS}").split())
