"""The walk along the chain: each hop in its order, whatever the ones before it said."""

import dataclasses
import importlib
import time
from collections.abc import Iterable, Iterator

from hops.finding import HOPS, Finding, unknown
from hops.site import Site


def diagnose(site: Site, hops: Iterable[str] = HOPS) -> Iterator[Finding]:
    """
    Yield what is found, hop by hop; changes nothing in the stack.

    What cannot be seen is a finding too, never an exception: somebody is waiting for the rest.
    """
    for hop in hops:
        started = time.monotonic()
        try:
            findings = list(importlib.import_module(f"hops.{hop}").check(site))
        except Exception as error:  # whatever it is, it must not hide the other hops
            reason = (str(error) or type(error).__name__).splitlines()
            findings = [unknown(hop, f"it could not be looked at: {reason[0]}", *reason[1:6])]
        seconds = time.monotonic() - started
        for finding in findings:
            yield dataclasses.replace(finding, seconds=seconds / len(findings))
