"""Who answers the requests in a container of ours."""

from tests.support.stack import Stack

# In a shell (bash) there: the children of its first process that are of its kind. Others hand on its log
# (log/log-relay), or look for another configuration (nginx/entrypoint.sh).
WORKERS = "$(cd /proc; grep --files-with-matches --extended-regexp '^(nginx|uwsgi)$' $(printf '%s/comm ' $(<1/task/1/children)) | cut --delimiter=/ --fields=1)"


def workers(stack: Stack, service: str = "app") -> set[str]:
    """Return their process numbers."""
    return set(stack.run(service, "bash", "-c", f"echo {WORKERS}").split())
