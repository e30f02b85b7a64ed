"""
Simulate power cuts while twenty clients write: is everything that was acknowledged still there?

Each cut comes at a random moment. First the disk fails, and all that the kernel has not yet written to it
is lost; then every process of every container gets SIGKILL; then the disk is back, and the containers
are started as the engine does when a machine boots: without `init`, in any order.

The disk is an ext4 file system in a file, with the volumes of a stack of its own. It is cut with the ioctl
that kernel developers use to test file systems (EXT4_IOC_SHUTDOWN with NOLOGFLUSH; "godown -f" in xfstests):
nothing in memory reaches the disk any more, as after a power cut. This cannot show the effect of a disk
that lies about its own cache. Needs root, and the engine on this machine.
"""

import contextlib
import fcntl
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import requests

from tests.support.people import create_user, log_in
from tests.support.polling import poll
from tests.support.stack import Stack, StackError
from tests.support.writers import Tally, check, writing

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, fs/ext4/ext4.h
NOLOGFLUSH = 2
VOLUMES = ("data", "media", "static")


class Disk:
    """A file system that can lose its power."""

    def __init__(self, directory: Path) -> None:
        self.image = directory / "disk"
        self.place = directory / "mounted"
        self.place.mkdir()
        subprocess.run(["truncate", "--size=16G", self.image], check=True)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)
        self.plug_in()
        for name in VOLUMES:
            (self.place / name).mkdir()

    def plug_in(self) -> None:
        subprocess.run(["mount", "-o", "loop", self.image, self.place], check=True)

    def cut(self) -> None:
        """Discard what is not yet written, and fail every access from now on."""
        descriptor = os.open(self.place, os.O_RDONLY)
        fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        os.close(descriptor)

    def unplug(self) -> None:
        """Wait until nothing has it mounted: the engine, too, releases a container's volumes late."""
        subprocess.run(["umount", self.place], check=True)
        poll(f"nobody uses {self.image}", lambda: not self.loop_device(), 30)

    def loop_device(self) -> str:
        """Return the loop device of the image; the kernel removes it with the last mount."""
        show = ["losetup", "--noheadings", "--output", "NAME", "--associated", str(self.image)]
        return subprocess.run(show, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@dataclass
class Outcome:
    """The state of one run of cuts."""

    cookies: dict[str, str]  # of a user who may write
    tally: Tally = field(default_factory=Tally)
    by_hand: int = 0  # how often the stack did not recover by itself
    seconds: list[float] = field(default_factory=list)  # from each start until the site answers


class Figures(NamedTuple):
    """The results of some cuts, as numbers that can be added to those of others."""

    rows: int = 0  # acknowledged
    uploads: int = 0
    lost: list[str] = []
    torn: list[str] = []
    damaged: int = 0
    by_hand: int = 0
    seconds: list[float] = []

    @property
    def cuts(self) -> int:
        return len(self.seconds)

    @property
    def bad(self) -> bool:
        """Whether any promise was broken."""
        return bool(self.lost or self.torn or self.damaged or self.by_hand)

    def and_of(self, outcome: Outcome) -> "Figures":
        """Return the sum of these figures and an outcome."""
        tally = outcome.tally
        return Figures(
            self.rows + len(tally.groups),
            self.uploads + len(tally.uploads),
            self.lost + sorted(tally.lost),
            self.torn + sorted(tally.torn),
            self.damaged + tally.damaged,
            self.by_hand + outcome.by_hand,
            self.seconds + outcome.seconds,
        )


def come_back(stack: Stack, outcome: Outcome) -> None:
    """Start the killed containers as the engine does at boot, and wait until the site is ready."""
    began = time.monotonic()
    for service in random.sample(["app", "nginx"], 2):
        stack.container(service).start()

    def ready() -> bool:
        page = requests.get(stack.url, timeout=5)
        return page.ok and stack.exec("app", "stack", "healthcheck").code == 0

    try:
        stack.wait("the site is back", ready, 60)
    except StackError as error:
        print(error, file=sys.stderr)
        outcome.by_hand += 1
        stack.up("--no-build")
    outcome.seconds.append(time.monotonic() - began)


def cut_the_power(stack: Stack, disk: Disk, outcome: Outcome, number: int) -> None:
    """Run one cut: put load on the site, cut the power at a random moment, start again, check everything."""
    with writing(stack, str(number), outcome.cookies, outcome.tally):
        time.sleep(random.uniform(0.1, 2))  # noqa: S311
        outcome.tally.dark.set()
        disk.cut()
        stack.compose("kill", "--signal", "KILL")
    disk.unplug()
    disk.plug_in()
    come_back(stack, outcome)
    check(stack, outcome.tally)


@contextlib.contextmanager
def disk_for(stack: Stack) -> Iterator[Disk]:
    """Yield a disk for the stack's volumes; the stack must be removed before the disk."""
    with tempfile.TemporaryDirectory(prefix="power-cuts-") as directory:
        disk = Disk(Path(directory))
        stack.variables |= {
            "COMPOSE_FILE": "compose.yaml:tests/support/power_cuts.yaml",
            "POWER_CUTS_DISK": str(disk.place),
        }
        try:
            yield disk
        finally:
            disk.unplug()


def run(
    stack: Stack, disk: Disk, cuts: int, earlier: Figures, save: Callable[[Figures], None]
) -> Figures:
    """
    Cut the power of a stack on a disk until there are ``cuts`` in total, those of ``earlier`` included.

    Return the figures of all cuts; after each cut, pass those so far to ``save``.
    """
    create_user(stack, "writer")
    outcome = Outcome(dict(log_in(stack, "writer").cookies))
    figures = earlier
    while figures.cuts < cuts:
        cut_the_power(stack, disk, outcome, figures.cuts + 1)
        figures = earlier.and_of(outcome)
        save(figures)
    return figures


def table(figures: Figures) -> str:
    """Return the result as a table for docs/operations.md."""
    rows = {
        "power cuts": figures.cuts,
        "acknowledged rows": figures.rows,
        "acknowledged uploads, two files each": figures.uploads,
        "acknowledged writes lost": len(figures.lost),
        "rows without their file, acknowledged or not": len(figures.torn),
        "databases damaged": figures.damaged,
        "starts that needed a hand": figures.by_hand,
        "seconds from start to ready: median": f"{statistics.median(figures.seconds):.1f}",
        "seconds from start to ready: worst": f"{max(figures.seconds):.1f}",
    }
    return "\n".join(f"| {name} | {value} |" for name, value in rows.items())
