"""
A Compose project, running or not, seen through the Docker API.

No other module of this package talks to Docker.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import docker
import docker.errors
from docker.models.containers import Container

from whichhop import probes
from whichhop.target import processes
from whichhop.target.processes import Identity, Process

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"

LOG_LINES = 5000  # at most so many lines of a container's log are read

T = TypeVar("T")


class StackError(Exception):
    """The stack did not do what it should; the message says what happened."""


class Output(NamedTuple):
    """The result of a command in a container: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


def run_once(image: str, command: Sequence[str], environment: Mapping[str, str]) -> Output:
    """
    Run a command in a container of its own, without network or volumes, and return the result.

    The container is removed, whatever happens; its label allows a later clean-up if this process is killed.
    """
    container = docker.from_env().containers.create(
        image,
        list(command),
        environment=dict(environment),
        network_mode="none",
        labels={PROJECT_LABEL: image},
    )
    try:
        container.start()
        code = container.wait(timeout=60)["StatusCode"]
        out, err = (container.logs(stdout=out, stderr=not out).decode() for out in (True, False))
    finally:
        container.remove(force=True, v=True)
    return Output(code, out, err)


def _definition(
    command: list[str], directory: Path, environment: Mapping[str, str]
) -> dict[str, Any]:
    process = subprocess.run(
        [*command, "--profile", "*", "config", "--format", "json"],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise StackError(f"Compose cannot read {directory}: {process.stderr.strip()}")
    definition: dict[str, Any] = json.loads(process.stdout)
    return definition


class Stack:
    """One Compose project: its directory, its name and the variables with which it is started."""

    def __init__(
        self, directory: Path, project: str, variables: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.project = project
        self.variables = dict(variables or {})
        self.since = 0.0  # logged failures before this time (seconds since the epoch) are ignored

    @classmethod
    def of(cls, directory: Path) -> "Stack":
        """
        Return the stack of a directory, under the name that Compose gives it.

        Raise ``StackError`` with Compose's own message if it cannot read its files.
        """
        command = ["docker", "compose"]
        started = cls._started_from(directory)
        if len(started) == 1:
            # It may have another name, or use files that Compose does not read by default.
            name = next(iter(started))
        else:
            definition = _definition(command, directory, os.environ)
            name = definition["name"]
        if name in started:
            files = [word for file in started[name] for word in ("--file", file)]
            command += ["--project-name", name, *files]
            definition = _definition(command, directory, os.environ)
        stack = cls(directory, name)
        stack.definition = definition
        return stack

    @staticmethod
    def _started_from(directory: Path) -> dict[str, list[str]]:
        """Return the projects that were started in a directory, each with its Compose files."""
        label = "com.docker.compose.project"
        containers = docker.from_env().containers.list(
            all=True,
            filters={"label": f"{label}.working_dir={directory.resolve()}"},
            ignore_removed=True,
        )
        found = {}
        for container in containers:
            files = container.labels.get(f"{label}.config_files", "").split(",")
            if all(Path(file).is_file() for file in files):
                found[container.labels[label]] = files
        return found

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The project as Compose resolves its files; raise ``StackError`` if Compose refuses them."""
        command = ["docker", "compose", "--project-name", self.project]
        return _definition(command, self.directory, {**os.environ, **self.variables})

    def __repr__(self) -> str:
        return f"<Stack {self.project}>"

    @cached_property
    def engine(self) -> docker.DockerClient:
        """Return a client of the engine; raise ``docker.errors.DockerException`` if it does not run."""
        return docker.from_env()

    # -- the project as a whole

    def compose(
        self, *arguments: str, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """
        Run ``docker compose`` on this project and return the completed process.

        Raise ``StackError`` with its last lines if it fails (unless ``check`` is false), and
        ``subprocess.TimeoutExpired`` after ``timeout`` seconds.
        """
        command = ["docker", "compose", "--project-name", self.project, *arguments]
        process = subprocess.run(
            command,
            cwd=self.directory,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and process.returncode:
            tail = "\n".join(process.stderr.splitlines()[-15:])
            raise StackError(f"{' '.join(command)}: exit status {process.returncode}\n{tail}")
        return process

    def up(self, *arguments: str) -> None:
        """Start the stack and wait until every service is healthy; raise ``StackError`` if not."""
        try:
            self.compose("up", "--wait", "--wait-timeout", "120", *arguments)
        except StackError as error:
            logs = self.compose("logs", "--no-color", "--tail", "40", check=False).stdout
            raise StackError(f"{error}\n{logs}") from None

    def down(self, *arguments: str) -> None:
        """Stop the stack and remove its containers and networks, but not its volumes."""
        self.compose("down", "--remove-orphans", *arguments)

    def image_of(self, name: str) -> str:
        """Return the id of the image with this name; "" if there is none."""
        try:
            return str(self.engine.images.get(name).id)
        except docker.errors.ImageNotFound:
            return ""

    def out_of_memory(self, service: str, seconds: float) -> bool:
        """Return whether the kernel killed a process of a service for lack of memory in the last ``seconds``."""
        now = int(time.time())
        events = self.engine.events(
            since=now - int(seconds),
            until=now + 1,
            filters={"container": str(self.container(service).id), "event": "oom"},
        )
        if next(iter(events), None) is not None:
            return True
        # The engine may report it late; the kernel's count since the container's start is immediate.
        counters = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
        return bool(re.search(r"oom_kill [1-9]", self.exec(service, "cat", *counters).out))

    def addresses(self, service: str) -> set[str]:
        """Return every name and IP address under which other services reach a service."""
        try:
            attributes = self.container(service).attrs
        except StackError:
            return {service}
        found = {service, attributes["Name"].lstrip("/"), attributes["Config"]["Hostname"]}
        for network in (attributes["NetworkSettings"]["Networks"] or {}).values():
            found |= {*(network["Aliases"] or []), *(network.get("DNSNames") or [])}
        return (found | {*self.ip_addresses(service)}) - {""}

    def ip_addresses(self, service: str) -> list[str]:
        """Return the IP addresses of a service's container; empty without a network."""
        networks = self.container(service).attrs["NetworkSettings"]["Networks"] or {}
        return [network["IPAddress"] for network in networks.values() if network["IPAddress"]]

    def mount(self, service: str, path: str) -> dict[str, Any]:
        """
        Return a service's mount at a path or above it, as the engine describes it: ``Type``,
        ``Name`` of a volume, ``Source`` on the machine, ``Destination``; empty if there is none.
        """
        mounts = self.container(service).attrs["Mounts"]
        above = [item for item in mounts if f"{path}/".startswith(f"{item['Destination']}/")]
        return max(above, key=lambda item: len(item["Destination"]), default={})

    def same_place(self, path: str, service: str, other: str) -> str | None:
        """
        Return the path under which another service sees the file that a service sees at ``path``.

        Return ``None`` if the services share no volume or directory there.
        """
        mount = self.mount(service, path)
        if not mount.get("Source"):
            return None
        on_machine = str(mount["Source"]) + path.removeprefix(mount["Destination"])
        for item in self.container(other).attrs["Mounts"]:
            if item.get("Source") and f"{on_machine}/".startswith(f"{item['Source']}/"):
                below = on_machine.removeprefix(str(item["Source"]))
                return str(item["Destination"]) + below
        return None

    # -- one service

    def _containers(self, *labels: str) -> list[Container]:
        """Return containers of the project, newest first, without those of ``docker compose run``."""
        labels = (f"{PROJECT_LABEL}={self.project}", "com.docker.compose.oneoff=False", *labels)
        return self.engine.containers.list(
            all=True, filters={"label": list(labels)}, ignore_removed=True
        )

    def container(self, service: str) -> Container:
        """
        Return the container of a service, running or stopped; raise ``StackError`` if there is none.

        If there are several, as during a deploy, return the newest that runs and is neither unhealthy nor
        still starting.
        """
        found = self._containers(f"{SERVICE_LABEL}={service}")
        if not found:
            raise StackError(f"the service {service!r} of {self.project} has no container")

        def serves(container: Container) -> tuple[bool, bool]:
            state = container.attrs["State"]
            return state["Running"], state.get("Health", {}).get("Status", "healthy") == "healthy"

        return max(found, key=serves)

    def running(self) -> set[str]:
        """Return the ids of the project's containers that run now."""
        return {str(each.id) for each in self._containers() if each.status == "running"}

    def exec(
        self,
        service: str,
        *command: str,
        user: str = "",
        privileged: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """
        Run a command in a service's container and return the result.

        ``user`` is a numeric ``uid:gid``; the default is the container's own. ``privileged`` gives the
        command the capabilities that the container itself lacks: without them, root sees no more
        than any other user. Raise ``StackError`` if the container does not run.
        """
        # Two steps instead of the SDK's exec_run, whose types do not tell stdout from stderr.
        api = self.engine.api
        try:
            started = api.exec_create(
                self.container(service).id,
                list(command),
                user=user,
                privileged=privileged,
                environment=dict(environment or {}),
            )["Id"]
            out, err = api.exec_start(started, demux=True)
            code: int = api.exec_inspect(started)["ExitCode"]
        except docker.errors.APIError as error:  # usually: it does not run, or has just ended
            raise StackError(f"{service}: {error.explanation or error}") from None
        text, errors = ((part or b"").decode(errors="replace") for part in (out, err))
        if text.startswith("OCI runtime exec failed"):
            # Not the command's fault, unless it does not exist: then the caller may try another one.
            if f'exec: "{command[0]}"' in text:
                return Output(127, "", text)
            raise StackError(f"{service}: nothing can be run in its container: {text.strip()}")
        return Output(code, text, errors)

    def exec_as(self, service: str, identity: Identity, *command: str) -> Output:
        """
        Run a command with exactly the rights of a process, its supplementary groups included.

        Docker's own ``--user`` sets other groups: it adds those of ``group_add`` in the Compose file, which
        a process that changed its user no longer has. util-linux's setpriv does it right; if it is missing,
        ``--user`` is close enough.
        """
        groups = ",".join(map(str, sorted(identity.groups))) or "-all"
        drop = ("setpriv", f"--reuid={identity.uid}", f"--regid={identity.gid}")
        listed = f"--groups={groups}" if identity.groups else "--clear-groups"
        output = self.exec(service, *drop, listed, "--", *command, user="0", privileged=True)
        # The image may have no setpriv, or busybox's, which has no --reuid.
        refused = output.code == 127 or "unrecognized option" in output.err
        if refused and "setpriv" in output.err:
            return self.exec(service, *command, user=str(identity))
        return output

    def processes(self, service: str) -> list[Process]:
        """Return the processes of a service's container."""
        return processes.parse(
            self.exec(
                service, "sh", "-c", probes.source("processes.sh"), user="0", privileged=True
            ).out
        )

    def run(self, service: str, *command: str, user: str = "") -> str:
        """Run a command as ``exec`` does and return its stdout; raise ``StackError`` if it fails."""
        output = self.exec(service, *command, user=user)
        if output.code:
            raise StackError(
                f"{service}: {' '.join(command)[:200]}: exit status {output.code}\n"
                f"{output.out}{output.err}"
            )
        return output.out

    def logs(self, service: str, since: float | None = None) -> str:
        """Return what a service wrote to stdout and stderr since a time (seconds since the epoch)."""
        return self._log(service, since=since).decode(errors="replace")

    def _log(self, service: str, **options: Any) -> bytes:
        """Return the end of a log, at most ``LOG_LINES``; raise ``StackError`` if the engine keeps none."""
        try:
            log: bytes = self.container(service).logs(tail=LOG_LINES, **options)
        except docker.errors.APIError as error:
            reason = error.explanation or error
            raise StackError(f"the log of {service} cannot be read: {reason}") from None
        return log

    def dated_log(
        self, service: str, stream: str, since: float | None = None
    ) -> list[tuple[float, str]]:
        """Return the lines of "stdout" or "stderr", each with the time at which the engine received it."""
        log = self._log(
            service,
            stdout=stream == "stdout",
            stderr=stream == "stderr",
            since=since,
            timestamps=True,
        )
        found = []
        for line in log.decode(errors="replace").split("\n"):
            when, _, text = line.partition(" ")
            if when:
                found.append((datetime.fromisoformat(when).timestamp(), text))
        return found

    def log_entry(self, service: str, text: str) -> dict[str, Any]:
        """
        Return the first JSON line with ``text`` in a service's log; wait for it briefly.

        Raise ``StackError`` if there is none.
        """

        def find() -> str | None:
            lines = self.logs(service).splitlines()
            return next((line for line in lines if line[:1] == "{" and text in line), None)

        entry: dict[str, Any] = json.loads(self.wait(f"{text!r} in the log", find, 5, service))
        return entry

    def uwsgi(
        self,
        function: str,
        socket: str | tuple[str, int],
        *arguments: object,
        service: str,
        python: str = "python3",
        user: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> object:
        """
        Call ``whichhop.probes.uwsgi_protocol`` inside a service's container, where the socket is.

        ``function`` is ``"ping"``, ``"request"``, ``"http"`` or ``"stats"``; the result is its return value,
        converted through JSON. Raise ``StackError`` with the reason if there is no answer.
        """
        source = probes.source("uwsgi_protocol.py")
        call = json.dumps([function, socket, *arguments])
        output = self.exec(service, python, "-c", source, call, user=user, environment=environment)
        if output.code:
            raise StackError(f"{function}: {output.err.strip() or output.out.strip()}")
        result = json.loads(output.out)
        if isinstance(result, dict):
            raise StackError(f"{function} {socket}: {result['error']}")
        return result

    # -- waiting

    def wait(
        self, what: str, condition: Callable[[], T | None], seconds: float, service: str = ""
    ) -> T:
        """
        Poll until ``condition`` returns a true value, and return that.

        Raise ``StackError`` naming ``what`` after ``seconds``, or at once if the container of
        ``service`` is dead; the message has the last error and the end of its log.
        """
        deadline = time.monotonic() + seconds
        problem: object = "never true"
        while time.monotonic() < deadline:
            try:
                if result := condition():
                    return result
            except (OSError, StackError, docker.errors.DockerException) as error:
                problem = error
            if service and self.container(service).status in ("exited", "dead"):
                problem = f"the container of {service} has exited"
                break
            time.sleep(0.1)
        tail = "\n".join(self.logs(service).splitlines()[-20:]) if service else ""
        raise StackError(f"{what}: not within {seconds} s: {problem}\n{tail}")
