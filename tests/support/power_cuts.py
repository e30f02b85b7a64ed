"""
Power cuts while twenty clients write: is everything there that was acknowledged?

For each cut, at a random moment: the disk is gone first, with all that the kernel had not yet written
to it; then every process of every container gets SIGKILL; then the disk is back, and the containers
are started as the engine starts them when a machine boots: without `init`, in any order.

The disk is an ext4 file system of its own in a file, for the volumes of a stack of its own. It is cut by
the ioctl with which the kernel's developers test their file systems (EXT4_IOC_SHUTDOWN with NOLOGFLUSH;
"godown -f" in xfstests): nothing in memory reaches the disk any more, as after a power cut. What it
cannot show is a disk that lies about its own cache. Needs root, and the engine on this machine.
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
        """Lose what is not yet written, and answer everything from now on with an error."""
        descriptor = os.open(self.place, os.O_RDONLY)
        fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        os.close(descriptor)

    def unplug(self) -> None:
        """Wait until nobody has it mounted: the engine, too, lets go of a container's volumes."""
        subprocess.run(["umount", self.place], check=True)
        poll(f"nobody uses {self.image}", lambda: not self.loop_device(), 30)

    def loop_device(self) -> str:
        """Return the kernel's device for the image; it goes with the last mount."""
        show = ["losetup", "--noheadings", "--output", "NAME", "--associated", str(self.image)]
        return subprocess.run(show, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@dataclass
class Outcome:
    """What the cuts did."""

    cookies: dict[str, str]  # of somebody who may write
    tally: Tally = field(default_factory=Tally)
    by_hand: int = 0  # starts that did not come back by themselves
    seconds: list[float] = field(default_factory=list)  # from the start until the site answers


class Figures(NamedTuple):
    """What came of some cuts, in figures that can be added to those of others."""

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
        """Whether anything went wrong that must not."""
        return bool(self.lost or self.torn or self.damaged or self.by_hand)

    def and_of(self, outcome: Outcome) -> "Figures":
        """Return these and what an outcome adds to them."""
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
    """Start what was killed, as the engine does at boot, and wait until the site is ready."""
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
    """One cut: load, the end at a random moment, a start, a look at everything."""
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
    """Give the stack a disk for its volumes; the stack must be gone before the disk is."""
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
    Cut the power of a stack that runs on a disk, until there are ``cuts`` with those of ``earlier``.

    Return the figures of all; each cut hands those so far to ``save``.
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
    """Return the result as docs/operations.md shows it."""
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
