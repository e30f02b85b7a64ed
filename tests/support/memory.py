"""The memory that a service's processes use."""

from tests.support.stack import Stack


def memory(stack: Stack, service: str) -> int:
    """Return the peak memory of a service's processes, in bytes; VmHWM in proc_pid_status(5)."""
    show = "cat /proc/[0-9]*/status | awk '/^VmHWM/ { n += $2 } END { print n }'"
    return int(stack.run(service, "bash", "-c", show)) * 1024
