"""The walk along the chain: each hop in its order, whatever the ones before it said."""

import dataclasses
import importlib
import time
from collections.abc import Iterable, Iterator

from hops.finding import HOPS, Finding, blocked, unknown
from hops.site import Site

# The services whose running container a hop looks into; port and uwsgi judge the containers.
NEEDS = {
    "nginx": ("nginx",),
    "static": ("nginx", "app"),
    "media": ("nginx", "app"),
    "socket": ("nginx", "app"),
    "django": ("app",),
    "database": ("app",),
    "chain": ("nginx", "app"),
}
JUDGED_BY = {"nginx": "port", "app": "uwsgi"}


def look(site: Site, hop: str) -> list[Finding]:
    """Return what one hop finds, or that what it looks into does not run."""
    for service in NEEDS.get(hop, ()):
        if not site.state(service).running:
            return [blocked(hop, JUDGED_BY[service])]
    return list(importlib.import_module(f"hops.{hop}").check(site))


def diagnose(site: Site, hops: Iterable[str] = HOPS) -> Iterator[Finding]:
    """
    Yield what is found, hop by hop; changes nothing in the stack.

    What cannot be seen is a finding too, never an exception: somebody is waiting for the rest.
    """
    for hop in hops:
        started = time.monotonic()
        try:
            findings = look(site, hop)
        except Exception as error:  # whatever it is, it must not hide the other hops
            reason = (str(error) or type(error).__name__).splitlines()
            findings = [unknown(hop, f"it could not be looked at: {reason[0]}", *reason[1:6])]
        seconds = time.monotonic() - started
        for finding in findings:
            yield dataclasses.replace(finding, seconds=seconds / len(findings))
