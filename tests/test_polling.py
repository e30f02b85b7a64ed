"""What waits for a container that has died stops at once, with its last words."""

import time

import pytest

from tests.support.polling import poll
from tests.support.stack import Stack


def test_nobody_waits_for_the_dead(stack: Stack) -> None:
    def refused() -> None:
        raise ConnectionRefusedError("nobody listens")

    began = time.monotonic()
    with pytest.raises(AssertionError) as failure:
        poll("it is up", refused, 30, lambda: stack.container("init"))
    assert time.monotonic() - began < 5
    said = str(failure.value)
    assert f"{stack.project}-init-1 has exited; before that: nobody listens" in said
    assert "static files refreshed" in said
