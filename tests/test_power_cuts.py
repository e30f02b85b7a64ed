"""What was acknowledged survives a power cut, and the site comes back by itself."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from whichhop.stack import Stack

from tests.conftest import started
from tests.support.power_cuts import disk_for, run, table


@pytest.mark.skipif(
    os.geteuid() != 0
    or not Path("/run/docker.sock").is_socket()
    or not Path("/dev/loop-control").exists(),
    reason="needs root, an engine at /run/docker.sock and loop devices",
)
def test_nothing_acknowledged_is_lost(
    make_stack: Callable[..., Stack], pytestconfig: pytest.Config
) -> None:
    """A few of the cuts that `python -m tests.power_cuts` makes; that one has the figures."""
    stack = make_stack()
    with disk_for(stack) as disk, started(stack, pytestconfig):
        outcome = run(stack, disk, 3, print)
    print(table(outcome))
    assert len(outcome.tally.groups) > 30, "too little was written to prove anything"
    assert not outcome.bad, outcome.tally
