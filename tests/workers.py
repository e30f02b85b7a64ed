"""Who answers the requests in a container of ours."""

# In a shell there: the children of its first process, but for the two that log-relay started first.
WORKERS = "$(cut --delimiter=' ' --fields=3- /proc/1/task/1/children)"
