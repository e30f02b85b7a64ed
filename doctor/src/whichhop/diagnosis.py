"""Walk the chain: check each hop in order, whatever the results of the earlier ones."""

import dataclasses
import importlib
import time
from collections.abc import Iterable, Iterator

from whichhop.checks import app_container, recent, services, vassals
from whichhop.finding import HOPS, WORKS, Finding, Verdict, blocked, unknown
from whichhop.target.site import Site

# The services whose running container each hop needs. The hops port, tls, nginx and uwsgi find out
# themselves why a container does not run.
NEEDS = {
    "static": ("nginx", "app"),
    "media": ("nginx", "app"),
    "socket": ("nginx", "app"),
    "django": ("nginx", "app"),
    "database": ("app",),
    "chain": ("nginx", "app"),
}
JUDGED_BY = {"nginx": "port", "app": "uwsgi"}


def look(site: Site, hop: str) -> list[Finding]:
    """Return the findings of one hop; for the last one, also the other services that are down."""
    findings = _look(site, hop)
    if hop != "chain" or not site.is_first:
        return findings
    down = list(services.not_up(site))
    kept = [item for item in findings if item.verdict is not Verdict.OK or not down]
    return [*kept, *down, *services.blind(site)]


def _look(site: Site, hop: str) -> list[Finding]:
    """Return the findings of one hop, or that a service that it needs does not run."""
    for role in NEEDS.get(hop, ()):
        if not (site.nginx if role == "nginx" else site.app).state.running:
            return [blocked(hop, JUDGED_BY[role])]
        if role == "app" and (
            not site.app.runs_uwsgi or app_container.keeps_failing(site) or vassals.wrong(site)
        ):
            return [blocked(hop, "uwsgi")]
    findings = list(importlib.import_module(f"whichhop.checks.{hop}").check(site))
    if all(finding.verdict in WORKS for finding in findings):
        # It works now; did it fail a few minutes ago?
        lately = list(recent.failures(site, hop))
        failed = [finding for finding in lately if finding.verdict is Verdict.BROKEN]
        return failed or [*findings, *lately]
    return findings


def diagnose(site: Site, hops: Iterable[str] = HOPS) -> Iterator[Finding]:
    """
    Yield the findings, hop by hop; change nothing in the stack.

    What cannot be checked is a finding, too, never an exception, so that the other hops are still checked.
    """
    for hop in hops:
        started = time.monotonic()
        try:
            findings = look(site, hop)
        except Exception as error:  # no exception may hide the other hops
            reason = (str(error) or type(error).__name__).splitlines()
            findings = [unknown(hop, f"it could not be looked at: {reason[0]}", *reason[1:6])]
        seconds = time.monotonic() - started
        for number, finding in enumerate(findings):
            spent = seconds if number == 0 else 0
            yield dataclasses.replace(finding, site=site.name, seconds=spent)
