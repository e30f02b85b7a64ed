"""What was acknowledged survives a power cut, and the site comes back by itself."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import started
from tests.support.power_cuts import Figures, disk_for, run, table
from tests.support.stack import Stack
from tests.support.whole import Whole


@pytest.mark.skipif(
    os.geteuid() != 0
    or not Path("/run/docker.sock").is_socket()
    or not Path("/dev/loop-control").exists(),
    reason="needs root, an engine at /run/docker.sock and loop devices",
)
def test_nothing_acknowledged_is_lost(
    make_stack: Callable[..., Stack], whole: Whole, pytestconfig: pytest.Config
) -> None:
    """Three cuts; two hundred with dev/prove, which goes on where it was interrupted."""
    earlier = Figures(*whole.saved())

    def save(figures: Figures) -> None:
        whole.save(figures)
        print(f"{figures.cuts} cuts; lost: {figures.lost + figures.torn or 'nothing'}")

    stack = make_stack()
    with disk_for(stack) as disk, started(stack, pytestconfig):
        figures = run(stack, disk, 200 if whole else 3, earlier, save)
    print(table(figures))
    assert figures.rows > 30, "too little was written to prove anything"
    assert not figures.bad, figures
    whole.forget()
