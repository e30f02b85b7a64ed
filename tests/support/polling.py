"""The only way in which the tests wait for something."""

import time
from collections.abc import Callable
from typing import TypeVar

import docker.errors
from docker.models.containers import Container

from tests.support.stack import StackError

T = TypeVar("T")

# What a predicate may raise while it is still too early.
NOT_YET = (OSError, StackError, docker.errors.DockerException)


def poll(
    what: str,
    predicate: Callable[[], T | None],
    seconds: float,
    container: Callable[[], Container] | None = None,
) -> T:
    """
    Call ``predicate`` until it returns a true value, and return that.

    Raise ``AssertionError`` after ``seconds``, or at once if the ``container`` has exited. The message names
    ``what``, the last error and the end of that container's log.
    """
    deadline = time.monotonic() + seconds
    problem: object = "never true"
    while time.monotonic() < deadline:
        try:
            if result := predicate():
                return result
        except NOT_YET as error:
            problem = error
        if container and container().status in ("exited", "dead"):
            problem = f"the container {container().name} has exited; before that: {problem}"
            break
        time.sleep(0.1)
    log = container().logs(tail=20).decode(errors="replace") if container else ""
    raise AssertionError(f"{what}: not within {seconds} s: {problem}\n{log}")
