"""
A pytest plugin: the Compose project under test, and each of its sites, as fixtures.

Installed with the package; nothing happens in tests that do not ask. The project is the one in pytest's
root folder, unless ``--compose-project`` names another folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from whichhop.finding import Finding
    from whichhop.target.site import Site
    from whichhop.target.stack import Stack


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where the project is."""
    parser.getgroup("whichhop").addoption(
        "--compose-project", type=Path, metavar="PATH", help="the folder of the project under test"
    )


@pytest.fixture(scope="session")
def stack_under_test(pytestconfig: pytest.Config) -> Stack:
    """The Compose project under test, running or not; raise ``StackError`` when there is none."""
    from whichhop.target.stack import Stack

    return Stack.of(pytestconfig.getoption("--compose-project") or pytestconfig.rootpath)


@pytest.fixture
def sites_under_test(stack_under_test: Stack) -> list[Site]:
    """Its sites as they are now: one for each server block of nginx that passes requests to an app."""
    from whichhop.target.discovery import sites

    return sites(stack_under_test)


@pytest.fixture
def assert_hops_work(sites_under_test: list[Site]) -> Callable[..., list[Finding]]:
    """
    Return a function that walks the chain, or the hops that it is given, and returns what is found.

    It fails the test, with the cause and what to do, when a hop is broken or could not be judged.
    """
    from whichhop import report
    from whichhop.diagnosis import diagnose
    from whichhop.finding import HOPS

    def walk(hops: Iterable[str] = HOPS) -> list[Finding]:
        __tracebackhide__ = True
        hops = tuple(hops)
        found = [finding for site in sites_under_test for finding in diagnose(site, hops)]
        if report.exit_status(found):
            pytest.fail(report.summary(found), pytrace=False)
        return found

    return walk
