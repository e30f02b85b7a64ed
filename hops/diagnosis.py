"""The walk along the chain: each hop in its order, whatever the ones before it said."""

import dataclasses
import importlib
import time
from collections.abc import Iterable, Iterator

import docker.errors

from hops.finding import HOPS, Finding, unknown
from hops.site import Site
from hops.stack import StackError


def diagnose(site: Site, hops: Iterable[str] = HOPS) -> Iterator[Finding]:
    """
    Yield what is found, hop by hop; changes nothing in the stack.

    What cannot be seen is a finding too, never an exception: somebody is waiting for the rest.
    """
    for hop in hops:
        started = time.monotonic()
        try:
            findings = list(importlib.import_module(f"hops.{hop}").check(site))
        except (StackError, OSError, docker.errors.DockerException) as error:
            findings = [unknown(hop, f"it could not be looked at: {error}")]
        seconds = time.monotonic() - started
        for finding in findings:
            yield dataclasses.replace(finding, seconds=seconds / len(findings))
