"""
Try what a signal does to a running uWSGI, with requests in flight and others waiting.

``ladder.signals`` runs this file inside a container, so it uses only the standard library. uWSGI is an
ordinary process there, not process 1, as on a machine without containers.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# A site with a slow page that reports when a request to it has begun.
SITE = """
import os, pathlib, time
def application(env, start_response):
    if env["PATH_INFO"] == "/slow":
        pathlib.Path(os.environ["WHERE"], f"began-{os.getpid()}").touch()
        time.sleep(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"finished"]
"""
# As ladder/uwsgi/mysite_uwsgi.ini: two workers, so two requests at a time. binary-path: uwsgi/mysite.ini says why.
COMMAND = (
    "uwsgi --master --processes 2 --chmod-socket=664 --vacuum --binary-path /venv/bin/python3"
    " --max-fd 256 --socket {where}/mysite.sock --master-fifo {where}/fifo --eval {site}"
)
PLACE = "/tmp"  # noqa: S108 # of a container created for this
PATIENCE = 7  # seconds that a client waits for an answer
SHORT = 2  # seconds, when uWSGI is otherwise idle
QUIET = 1.5  # seconds without a change, after which the state is final


def wait(what: str, condition: Callable[[], bool]) -> None:
    """Poll until ``condition`` is true; raise ``TimeoutError`` naming ``what`` after 30 seconds."""
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


class Server:
    """A uWSGI in a directory of its own."""

    def __init__(self, where: Path, options: list[str]) -> None:
        where.mkdir()
        self.where = where
        self.socket = where / "mysite.sock"
        self.log = where / "log"
        words = [word.format(where=where, site=SITE) for word in COMMAND.split()]
        with self.log.open("w") as log:
            self.master = subprocess.Popen(
                words + options, stdout=log, stderr=log, env={**os.environ, "WHERE": str(where)}
            )
        wait("two workers", lambda: self.log.read_text().count("spawned uWSGI worker") == 2)
        self.inode = self.socket.stat().st_ino
        self.born = self.workers()

    def workers(self) -> frozenset[int]:
        """Return the live processes of this uWSGI except its master."""
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = str(self.socket) in (process / "cmdline").read_text()
                if ours and int(process.name) != self.master.pid:
                    found.add(int(process.name))
        return frozenset(found)

    def ask(self, path: str, patience: float = PATIENCE) -> str:
        """Send a request; return "answered", or how it ended: "cut off", "refused", "kept waiting"."""
        variables = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_PROTOCOL": "HTTP/1.1"}
        block = b"".join(
            struct.pack("<H", len(text)) + text
            for pair in variables.items()
            for text in map(str.encode, pair)
        )
        received = b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience)
            try:
                connection.connect(str(self.socket))
            except OSError:
                return "refused"
            try:
                connection.sendall(struct.pack("<BHB", 0, len(block), 0) + block)
                while data := connection.recv(4096):
                    received += data
            except TimeoutError:
                return "kept waiting"
            except OSError:
                return "cut off"
        return "answered" if received.endswith(b"finished") else "cut off"

    def in_flight(self) -> int:
        """Return how many slow requests have begun."""
        return len(list(self.where.glob("began-*")))

    def waiting(self) -> int:
        """Return how many connected clients no worker has accepted yet."""
        lines = Path("/proc/net/unix").read_text().splitlines()
        # They show the listener's path and no inode yet: accept(2) creates it.
        return sum(line.endswith(f" {self.socket}") and line.split()[6] == "0" for line in lines)

    def settle(self) -> None:
        """Wait until uWSGI and all workers have ended, or two workers run again, and nothing changes any more."""
        since, before = time.monotonic(), None

        def quiet() -> bool:
            nonlocal since, before
            now = (self.master.poll(), self.workers())
            if now != before:
                since, before = time.monotonic(), now
            whole = len(now[1]) == (2 if now[0] is None else 0)
            return whole and time.monotonic() - since > QUIET

        wait("it is over", quiet)

    def state(self) -> str:
        """Return in words what happened to its processes."""
        code, now = self.master.returncode, self.workers()
        if code is not None:
            return "killed" if code < 0 else f"ends, exit status {code}"
        if now == self.born:
            return "goes on"
        return "one worker is new" if now & self.born else "both workers are new"

    def file(self) -> str:
        """Return what happened to the socket's file."""
        try:
            return "stays" if self.socket.stat().st_ino == self.inode else "is made anew"
        except FileNotFoundError:
            return "removed"

    def kill(self) -> None:
        """Kill uWSGI and all its workers."""
        for pid in {self.master.pid, *self.workers()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def act(server: Server, kind: str, what: str) -> None:
    """Send the signal to be tried, or write the letter to the FIFO."""
    if kind == "fifo":
        with (server.where / "fifo").open("w") as fifo:
            fifo.write(what)
        return
    targets = {"master": {server.master.pid}, "worker": {min(server.born)}}
    for pid in targets.get(kind, {server.master.pid, *server.born}):
        os.kill(pid, getattr(signal, what))


def together(words: list[str]) -> str:
    """Return what happened to two requests, in one phrase if it was the same for both."""
    return words[0] if len({*words}) == 1 else ", ".join(f"one {word}" for word in sorted(words))


def observe(where: str, kind: str, what: str, options: list[str]) -> list[str]:
    """Return the results of one case: requests in flight and waiting, processes, socket file, a request afterwards."""
    server = Server(Path(where), options)
    try:
        with ThreadPoolExecutor(4) as clients:
            flight = [clients.submit(server.ask, "/slow") for _ in range(2)]
            wait("two requests in flight", lambda: server.in_flight() == 2)
            queue = [clients.submit(server.ask, "/") for _ in range(2)]
            wait("two requests waiting", lambda: server.waiting() == 2)
            act(server, kind, what)
        server.settle()
        return [
            together([client.result() for client in flight]),
            together([client.result() for client in queue]),
            server.state(),
            server.file(),
            server.ask("/", SHORT),
        ]
    finally:
        server.kill()


def main() -> None:
    """Try all cases given as JSON, each ``[kind, what, options]``, in parallel; print the results."""
    cases = json.loads(sys.argv[1])
    with ThreadPoolExecutor(len(cases)) as pool:
        running = [
            pool.submit(observe, f"{PLACE}/{number}", *case) for number, case in enumerate(cases)
        ]
    print(json.dumps([each.result() for each in running]))


if __name__ == "__main__":
    main()
