"""
The containers of a stack under diagnosis: what the engine says of them, and what they say.
"""

import re
import time
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from whichhop.target import nginx_log
from whichhop.target.declaration import Declaration
from whichhop.target.stack import LOG_LINES, Stack, StackError


def seconds(when: str) -> float:
    """Return the engine's time (ISO 8601) as seconds since the epoch."""
    return datetime.fromisoformat(when).timestamp()


def jobs(services: dict[str, Any], service: str) -> list[str]:
    """Return the one-shot services that a service waits for, of those that a Compose project defines."""
    before = services.get(service, {}).get("depends_on") or {}
    completed = "service_completed_successfully"
    return [name for name, how in before.items() if how.get("condition") == completed]


class State(NamedTuple):
    """What the engine says of a service's container."""

    status: str  # "missing", "created", "running", "restarting", "exited", …
    exit_code: int
    health: str  # "healthy", "unhealthy", "starting", "" without a health check
    restarts: int
    out_of_memory: bool
    started: str  # when, ISO 8601; empty when never
    ended: str  # when it was last over, the same
    error: str  # why the engine could not start it

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def keeps_ending(self) -> bool:
        """Whether it ended by itself, again and again, or with an error that nobody asked for."""
        if self.running:
            return bool(self.restarts) and time.time() - seconds(self.started) < 5
        return self.status == "restarting" or (self.status == "exited" and self.exit_code != 0)

    def __str__(self) -> str:
        words = [self.status]
        if not self.running and self.status != "missing":
            words.append(f"exit code {self.exit_code}")
        if self.out_of_memory and self.exit_code:
            words.append("out of memory")
        if self.restarts:
            words.append(f"restarted {self.restarts} times")
        return ", ".join(words + ([self.health] if self.health else []))


class Containers:
    """The services of one site: the names of the one with nginx, with uWSGI, and of a first job."""

    def __init__(self, stack: Stack, nginx: str, app: str, init: str = "") -> None:
        self.stack = stack
        self.nginx, self.app, self.init = nginx, app, init
        self.since = 0.0  # failures before this time (seconds since the epoch) are forgotten

    @cached_property
    def declaration(self) -> Declaration:
        """What the project says of itself; raise ``StackError`` when that is not understood."""
        return Declaration.of(self.stack.definition)

    def state(self, service: str) -> State:
        """Return what the engine says of a service; ``missing`` when it has no container."""
        try:
            attributes = self.stack.container(service).attrs
        except StackError:
            return State("missing", 0, "", 0, False, "", "", "")
        state = attributes["State"]
        return State(
            state["Status"],
            state["ExitCode"],
            (state.get("Health") or {}).get("Status", ""),
            attributes["RestartCount"],
            state["OOMKilled"],
            state["StartedAt"],
            state["FinishedAt"],
            state["Error"],
        )

    @property
    def init_failed(self) -> bool:
        """Whether the last start ended with init, so that the app was not started again."""
        if not self.init:
            return False
        init, app = self.state(self.init), self.state(self.app)
        return init.status == "exited" and init.exit_code != 0 and init.started > app.started

    @property
    def nginx_waits_for(self) -> list[str]:
        """The services without which nginx is not started, in their order."""
        services = self.stack.definition["services"]
        found: list[str] = []
        wanted = [self.nginx]
        while wanted:
            before = services[wanted.pop()].get("depends_on") or {}
            wanted += [name for name in before if name not in found]
            found[:0] = before
        return list(dict.fromkeys(filter(None, (self.init, *found, self.app))))

    def log(self, service: str, window: float = 0) -> list[str]:
        """
        Return the lines of a service's log since its container was last started, also when it ended.

        With ``window``, in seconds, none that are older than that, or than ``self.since``. Query strings,
        which may hold a visitor's token, are cut off. Of nginx, no line that a client can have written.
        """
        state = self.state(service)
        try:
            # The engine notes the start when the first lines may be there already; and of a container
            # that ends again and again and runs for the moment, the attempt before says why.
            again = state.running and state.restarts and not window
            since = seconds(state.ended) - 5 if again else seconds(state.started) - 0.1
            since = max(since, self.since if again or window else 0)
            if window and state.running:
                since = max(since, time.time() - window)
            lines = self._believed(service, since)
            # What it wrote to files can be read only while it runs.
            lines = lines + self.log_files(service, since) if state.running else lines[-80:]
        except StackError:
            return []
        return [re.sub(r"\?[^\s\"']+", "?…", line) for line in lines if line]

    def _believed(self, service: str, since: float) -> list[str]:
        """Return what the engine has of a service's log; of nginx's, what no client can have written."""
        if service != self.nginx:
            return self.stack.logs(service, since or None).split("\n")  # 0: it was never started
        found = []
        for stream in ("stdout", "stderr"):
            lines = self.stack.dated_log(service, stream, since or None)
            found += nginx_log.believed(lines, cut=len(lines) >= LOG_LINES)
        return found

    def log_files(self, service: str, since: float) -> list[str]:
        """Return the lines since a time of what a service logs to files instead of to stderr."""
        return []

    def last_lines(self, service: str, pattern: str = "", count: int = 3) -> tuple[str, ...]:
        """Return the last lines of a service's ``log`` that match a pattern."""
        return tuple([line for line in self.log(service) if re.search(pattern, line)][-count:])
