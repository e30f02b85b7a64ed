"""The doctor for the tests: walk the chain, name the first broken hop, wait until the site is healthy."""

import contextlib
import time
from collections.abc import Sequence

from whichhop import report
from whichhop.diagnosis import diagnose
from whichhop.finding import Finding, Verdict
from whichhop.target.discovery import sites

from tests.support.stack import Stack, StackError

# When the test began (seconds since the epoch, set by conftest.py): the logs of a shared stack contain
# failures caused by earlier tests.
began = 0.0


def walk(stack: Stack, since: float | None = None, **services: str) -> list[Finding]:
    """Return the findings at every hop of every site; of logged failures, only those since the test began."""
    findings = []
    stack.since = began if since is None else since
    for site in sites(stack, **services):
        findings += list(diagnose(site))
    return findings


def listing(findings: Sequence[Finding]) -> str:
    """Return findings as users see them, for the message of a failing test."""
    return "\n".join(f"{report.line(finding, False)} [{finding.cause}]" for finding in findings)


def first_broken(findings: Sequence[Finding]) -> Finding:
    """Return the finding that the doctor names first."""
    broken = [finding for finding in findings if finding.verdict is Verdict.BROKEN]
    assert broken, listing(findings)
    return broken[0]


def assert_healthy(stack: Stack, **services: str) -> list[Finding]:
    """Return the findings; fail with the doctor's summary if a hop does not work now."""
    findings = walk(stack, time.time(), **services)
    assert report.exit_status(findings) == 0, listing(findings)
    return findings


def wait_until_healthy(stack: Stack, service: str = "nginx", seconds: float = 20) -> None:
    """Wait as long as a fixed stack may need: for a health check, or for a queue to empty."""
    found: list[Finding] = []

    def healthy() -> bool:
        found[:] = walk(stack, time.time())
        return report.exit_status(found) == 0

    with contextlib.suppress(StackError):
        stack.wait("the stack is healthy again", healthy, seconds, service)
    assert found, f"{service} has ended"
    assert report.exit_status(found) == 0, listing(found)


def wait_for(stack: Stack, cause: str, alive: str = "nginx") -> Finding:
    """Wait until the doctor names this cause first, and return the finding; a container may need a moment."""

    def named() -> Finding | None:
        found = [finding for finding in walk(stack) if finding.verdict is Verdict.BROKEN]
        return found[0] if found and found[0].cause == cause else None

    return stack.wait(f"the doctor names {cause}", named, 20, alive)
