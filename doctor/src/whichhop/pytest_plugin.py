"""
A pytest plugin with fixtures for the Compose project under test and its sites.

It is installed with the package and affects only tests that use its fixtures. The project is the one in
pytest's root folder, unless ``--compose-project`` names another folder.
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
    """Add the option for the project's folder."""
    parser.getgroup("whichhop").addoption(
        "--compose-project", type=Path, metavar="PATH", help="the folder of the project under test"
    )


@pytest.fixture(scope="session")
def stack_under_test(pytestconfig: pytest.Config) -> Stack:
    """The Compose project under test, running or not; raise ``StackError`` if there is none."""
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
    Return a function that checks all hops, or those that it is given, and returns the findings.

    It fails the test, with the cause and the fix, if a hop is broken or could not be checked.
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
