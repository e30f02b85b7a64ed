"""One service of a Compose project: the engine's data on its container, and its log."""

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from whichhop.target.stack import Output, Stack, StackError


def seconds(when: str) -> float:
    """Return the engine's time (ISO 8601) as seconds since the epoch."""
    return datetime.fromisoformat(when).timestamp()


def jobs(services: Mapping[str, Any], service: str) -> list[str]:
    """Return the one-shot services that a service waits for, from a project's service definitions."""
    before = services.get(service, {}).get("depends_on") or {}
    completed = "service_completed_successfully"
    return [name for name, how in before.items() if how.get("condition") == completed]


class State(NamedTuple):
    """The state of a service's container according to the engine."""

    status: str  # "missing", "created", "running", "restarting", "exited", …
    exit_code: int
    health: str  # "healthy", "unhealthy", "starting", "" without a health check
    restarts: int
    out_of_memory: bool
    started: str  # ISO 8601; empty if never
    ended: str  # ISO 8601; empty if never
    error: str  # why the engine could not start it

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def keeps_ending(self) -> bool:
        """Whether it keeps restarting, or ended with an error without having been stopped."""
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


class Service:
    """A service, whether it runs or not."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack = stack
        self.name = name

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> State:
        """Its state now; the status is ``missing`` if it has no container."""
        try:
            attributes = self.attributes
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
    def attributes(self) -> dict[str, Any]:
        """Its container as ``docker inspect`` shows it; raise ``StackError`` if it has none."""
        found: dict[str, Any] = self.stack.container(self.name).attrs
        return found

    @property
    def has_log(self) -> bool:
        """Whether the engine keeps its log (``logging: driver: none`` does not)."""
        return bool(self.attributes["HostConfig"]["LogConfig"]["Type"] != "none")

    def exec(
        self,
        *command: str,
        user: str = "",
        privileged: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """Run a command in its container, as ``Stack.exec`` does."""
        return self.stack.exec(
            self.name, *command, user=user, privileged=privileged, environment=environment
        )

    def mount(self, path: str) -> dict[str, Any]:
        """Return its mount at a path or above it, as ``Stack.mount`` does."""
        return self.stack.mount(self.name, path)

    def log(self, window: float = 0) -> list[str]:
        """
        Return its log lines since its container was last started, also if it has ended.

        With ``window``, in seconds, omit lines older than that or than ``Stack.since``. Query strings, which
        may contain a visitor's token, are cut off.
        """
        state = self.state
        try:
            # The engine may record the start after the first lines were logged. And if a container keeps
            # restarting and runs for now, the lines of the previous run show why.
            again = state.running and state.restarts and not window
            since = seconds(state.ended) - 5 if again else seconds(state.started) - 0.1
            since = max(since, self.stack.since if again or window else 0)
            if window and state.running:
                since = max(since, time.time() - window)
            lines = self._lines(since)
            # Log files in the container can be read only while it runs.
            lines = lines + self._lines_of_files(since) if state.running else lines[-80:]
        except StackError:
            return []
        return [re.sub(r"\?[^\s\"']+", "?…", line) for line in lines if line]

    def last_lines(self, pattern: str = "", count: int = 3) -> tuple[str, ...]:
        """Return the last lines of its ``log`` that match a pattern."""
        return tuple([line for line in self.log() if re.search(pattern, line)][-count:])

    def _lines(self, since: float) -> list[str]:
        """Return the engine's log lines since a time, which is 0 if it was never started."""
        return self.stack.logs(self.name, since or None).split("\n")

    def _lines_of_files(self, since: float) -> list[str]:
        """Return the lines since a time from files to which it logs instead of to stderr."""
        return []
