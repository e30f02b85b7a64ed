"""
A private Docker engine for a test, which can be killed without affecting other tests.

It has its own network namespace (two engines in one would overwrite each other's firewall rules), its own
directories, and the images that the test names. Needs root and Linux.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import docker

from tests.support.polling import poll
from tests.support.stack import Stack


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class PrivateEngine:
    """An engine that keeps all its files in ``directory``; ``number`` (0 to 63) makes it unique."""

    def __init__(self, directory: Path, number: int) -> None:
        self.directory = directory
        self.name = f"engine-{os.getpid()}"
        self.host = f"unix://{directory}/docker.sock"
        self.outside, self.address = (f"10.213.{number}.{end}" for end in (1, 2))

    def __enter__(self) -> "PrivateEngine":
        _run("ip", "netns", "add", self.name)
        link = f"e{os.getpid()}"  # a name of at most 15 characters
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "out", "netns", self.name)
        _run("ip", "address", "add", f"{self.outside}/30", "dev", link)
        _run("ip", "link", "set", link, "up")
        inside = ("ip", "-netns", self.name)
        _run(*inside, "address", "add", f"{self.address}/30", "dev", "out")
        for name in ("out", "lo"):
            _run(*inside, "link", "set", name, "up")
        _run(*inside, "route", "add", "default", "via", self.outside)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_the_power()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([path for path in mounts if path.startswith(f"{self.directory}/")]):
            _run("umount", "--lazy", mount)
        _run("ip", "netns", "delete", self.name)  # this also removes the link
        shutil.rmtree(self.directory)

    def start(self) -> None:
        """Start the engine and wait until it answers; raise ``RuntimeError`` with its log if it does not."""
        # nsenter, because "ip netns exec" hides the control groups.
        command = ["nsenter", f"--net=/run/netns/{self.name}", "dockerd", "--host", self.host]
        command += [
            "--data-root",
            f"{self.directory}/data",
            "--exec-root",
            f"{self.directory}/exec",
        ]
        command += ["--pidfile", f"{self.directory}/pid"]
        log = self.directory / "log"
        with log.open("a") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True
            )

        def client() -> docker.DockerClient:
            if self.process.poll() is not None:
                raise RuntimeError(f"the engine does not start:\n{log.read_text()[-3000:]}")
            return docker.DockerClient(self.host, timeout=60)

        self.client = poll("the engine answers", client, 60)

    def load(self, names: Iterable[str]) -> None:
        """Copy images from the machine's engine to it."""
        with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as images:
            subprocess.run(
                ["docker", "--host", self.host, "load"],
                stdin=images.stdout,
                check=True,
                capture_output=True,
            )

    def stop(self) -> None:
        """Stop it as at a shutdown of the machine: containers first, within their grace period."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(120)  # 90 of them are the containers' stop_grace_period
        if (seconds := time.monotonic() - began) > 30:  # normally two to five
            said = (self.directory / "log").read_text()[-5000:]
            warnings.warn(f"the engine took {seconds:.0f} s to stop:\n{said}", stacklevel=2)

    def kill(self) -> None:
        """Kill only the engine: the containers keep running."""
        self.process.kill()
        self.process.wait()

    def cut_the_power(self) -> None:
        """Kill the engine and every process that it started, all at once."""
        root = f"{self.directory}/exec"
        shims = [
            pid for pid, command in _processes() if "containerd" in command and root in command
        ]
        for pid in [self.process.pid, *shims, *_descendants(shims)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _processes() -> Iterable[tuple[int, str]]:
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(place.name), (place / "cmdline").read_text().replace("\0", " ")


def _descendants(pids: list[int]) -> list[int]:
    children = _run("ps", "-eo", "pid=,ppid=").splitlines()
    parents = {int(pid): int(parent) for pid, parent in map(str.split, children)}
    found = list(pids)
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[len(pids) :]


class StackElsewhere(Stack):
    """A stack on a private engine."""

    def __init__(self, directory: Path, project: str, engine: PrivateEngine) -> None:
        address = f"http://{engine.address}:8000"
        super().__init__(
            directory,
            project,
            {"DOCKER_HOST": engine.host, "SITE_BIND": "0.0.0.0", "SITE_URL": address},
        )
        self.private = engine
        self.address = address

    @property
    def engine(self) -> docker.DockerClient:
        """A new client each time, since the engine may have been restarted."""
        return self.private.client

    @property
    def url(self) -> str:
        """The site's address on the network between the test and the engine."""
        return self.address
