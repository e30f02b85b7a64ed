"""What the doctor says of a stranger's stack, and whether that is right."""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import docker
import pytest
from whichhop import report
from whichhop.causes import CAUSES
from whichhop.diagnosis import diagnose
from whichhop.finding import HOPS, Finding, Verdict
from whichhop.target.discovery import sites

from tests.foreign.stranger import HERE, SHOP, Fault, Stranger
from tests.support.doctor import first_broken, listing
from tests.support.stack import PROJECT_LABEL

Record = Callable[[str, object], None]


def build(run: str, shared: pytest.TempPathFactory) -> str:
    """Build the image of all foreign services, once for all workers of a run; return its name."""
    folder = shared.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    image, done = f"{run}-foreign", folder / "the-foreign-image-is-built"
    with (folder / "foreign-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            # The label is for the clean-up at the end of the run (conftest.py).
            command = [
                "docker",
                "build",
                "--quiet",
                "--tag",
                image,
                "--label",
                f"{PROJECT_LABEL}={run}",
            ]
            subprocess.run([*command, str(HERE)], check=True, capture_output=True, timeout=900)
            done.touch()
    return image


@contextlib.contextmanager
def running(
    layout: str, run: str, free_port: Callable[[], int], folders: pytest.TempPathFactory
) -> Iterator[Stranger]:
    """A layout as a running project, for the tests of a module in one worker."""
    project = f"{run}-{layout}-{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}"
    # A name of its own: one test gives it to another image.
    image = f"{project}:latest"
    variables = {"FOREIGN_IMAGE": image, "HTTP_PORT": str(free_port())}
    if layout == "tcp":
        variables["HTTPS_PORT"] = str(free_port())
    images = docker.from_env().images
    images.get(build(run, folders)).tag(image)
    stranger = Stranger(layout, folders.mktemp(layout), project, variables)
    try:
        stranger.start()
        yield stranger
    finally:
        stranger.discard()
        images.remove(image, noprune=True)


def parameters(faults: Mapping[str, Sequence[Fault]]) -> list[Any]:
    """Return faults that are grouped by symptom as the parameters of a test."""
    return [
        pytest.param(fault, id=f"{symptom} - {fault.cause}")
        for symptom, group in faults.items()
        for fault in group
    ]


def findings(stranger: Stranger, host: str = SHOP, hops: Iterable[str] = HOPS) -> list[Finding]:
    """Return what the doctor finds on a site; on the only one, when nginx cannot say its name."""
    stack = stranger.stack
    stack.since = stranger.since
    found = sites(stack)
    site = next((site for site in found if site.name == host), found[0])
    return list(diagnose(site, hops))


def advice(found: list[Finding]) -> list[str]:
    """Return the causes of the warnings."""
    return [finding.cause for finding in found if finding.verdict is Verdict.WARNING]


def assert_healthy(
    stranger: Stranger, host: str = SHOP, hops: Iterable[str] = HOPS
) -> list[Finding]:
    """Return what the doctor finds; fail with that when a hop does not work."""
    found = findings(stranger, host, hops)
    assert report.exit_status(found) == 0, listing(found)
    return found


def named(
    stranger: Stranger, entry: str, cause: str, record: Record, host: str = SHOP, hint: bool = False
) -> None:
    """Let the doctor look, and fail unless it names the cause: as first broken, or as advice."""
    hop = CAUSES[cause].hop
    record("entry", entry)
    started = time.monotonic()
    # What is first broken needs no later hop to be named.
    found = findings(stranger, host, HOPS[: HOPS.index(hop) + 1])
    seconds = time.monotonic() - started
    if hint:
        assert cause in advice(found), listing(found)
        assert report.exit_status(found) == 0, listing(found)
    else:
        first = first_broken(found)
        assert (first.hop, first.cause) == (hop, cause), listing(found)
        assert first.fix
    assert seconds < 20
    for name, value in {"hop": hop, "cause": cause, "seconds": round(seconds, 1)}.items():
        record(name, value)


def examine(stranger: Stranger, fault: Fault, record: Record) -> None:
    """Break a stack, see the symptom, let the doctor name the cause, mend it, and see it mended."""
    try:
        fault.break_it(stranger)
        record("symptom", fault.show(stranger)[:300])
        named(stranger, fault.entry, fault.cause, record, fault.site, fault.advice)
    finally:
        fault.mend(stranger)
        stranger.since = time.time()
    # The whole chain is looked at once more, after the last fault: it takes longer.
    assert_healthy(stranger, fault.site, [CAUSES[fault.cause].hop])
