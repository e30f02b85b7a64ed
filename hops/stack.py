"""
A Compose project that runs, or does not, seen through the Docker API.

Nothing else in the harness talks to Docker.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import docker
import docker.errors
from docker.models.containers import Container

from hops import uwsgi_protocol

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"

T = TypeVar("T")


class StackError(Exception):
    """Something that the stack should have done and did not; the message says what was seen."""


class Output(NamedTuple):
    """What a command in a container left: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


def run_once(image: str, command: Sequence[str], environment: Mapping[str, str]) -> Output:
    """
    Run a command in a container of its own, without network or volumes, and return what it left.

    The container is removed, whatever happens; its label is for a clean-up that we did not live to do.
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


class Stack:
    """One Compose project: its directory, its name and the variables it is started with."""

    def __init__(
        self, directory: Path, project: str, variables: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.project = project
        self.variables = dict(variables or {})

    @classmethod
    def of(cls, directory: Path) -> "Stack":
        """
        Return the stack of a directory, under the name that Compose gives it there.

        Raise ``StackError`` with Compose's own words when it cannot read its files.
        """
        process = subprocess.run(
            ["docker", "compose", "config", "--format", "json"],
            cwd=directory,
            capture_output=True,
            text=True,
        )
        if process.returncode:
            raise StackError(f"Compose cannot read {directory}: {process.stderr.strip()}")
        return cls(directory, json.loads(process.stdout)["name"])

    def __repr__(self) -> str:
        return f"<Stack {self.project}>"

    @cached_property
    def engine(self) -> docker.DockerClient:
        """Return a client of the engine; raise ``docker.errors.DockerException`` with none there."""
        return docker.from_env()

    # -- the project as a whole

    def compose(
        self, *arguments: str, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """
        Run ``docker compose`` on this project and return what it did.

        Raise ``StackError`` with its last lines when it fails (unless ``check`` is false), and
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
        """Stop the stack and remove its containers and networks; data stays."""
        self.compose("down", "--remove-orphans", *arguments)

    @property
    def url(self) -> str:
        """The address on which nginx is published, e.g. ``http://localhost:8000``."""
        port = self.compose("port", "nginx", "8080").stdout.strip().rsplit(":", 1)[1]
        return f"http://localhost:{port}"

    def published(self, service: str) -> list[tuple[str, str]]:
        """Return address and port on this machine for each published port of a running service."""
        ports = self.container(service).attrs["NetworkSettings"]["Ports"] or {}
        return [
            (item["HostIp"], item["HostPort"]) for items in ports.values() for item in items or []
        ]

    def volume(self, service: str, path: str) -> str:
        """Return the name of the volume that a service mounts at a path, empty when it mounts none."""
        mounts = self.container(service).attrs["Mounts"]
        above = [mount for mount in mounts if f"{path}/".startswith(f"{mount['Destination']}/")]
        nearest: dict[str, Any] = max(
            above, key=lambda mount: len(mount["Destination"]), default={}
        )
        return str(nearest.get("Name", ""))

    # -- one service

    def container(self, service: str) -> Container:
        """Return the container of a service, also a stopped one; raise ``StackError`` with none."""
        labels = [
            f"{PROJECT_LABEL}={self.project}",
            f"{SERVICE_LABEL}={service}",
            "com.docker.compose.oneoff=False",  # not one of `docker compose run`
        ]
        found = self.engine.containers.list(all=True, filters={"label": labels})
        if not found:
            raise StackError(f"the service {service!r} of {self.project} has no container")
        return found[0]

    def exec(self, service: str, *command: str, user: str = "", privileged: bool = False) -> Output:
        """
        Run a command in a service's container and return what it left.

        ``user`` is a numeric ``uid:gid``; without it, the container's own. ``privileged`` gives the
        command the capabilities that the container itself lacks: root without them sees no more
        than anybody else.
        """
        # Two steps instead of the SDK's exec_run, whose types do not tell stdout from stderr.
        api = self.engine.api
        started = api.exec_create(
            self.container(service).id, list(command), user=user, privileged=privileged
        )["Id"]
        out, err = api.exec_start(started, demux=True)
        code: int = api.exec_inspect(started)["ExitCode"]
        return Output(code, (out or b"").decode(), (err or b"").decode())

    def run(self, service: str, *command: str, user: str = "") -> str:
        """Run a command as ``exec`` does; return stdout, raise ``StackError`` when it fails."""
        output = self.exec(service, *command, user=user)
        if output.code:
            raise StackError(
                f"{service}: {' '.join(command)[:200]}: exit status {output.code}\n"
                f"{output.out}{output.err}"
            )
        return output.out

    def manage(self, *arguments: str) -> str:
        """Run ``manage.py`` beside the running site and return what it printed."""
        return self.run("app", "python3", "manage.py", *arguments)

    def logs(self, service: str, since: float | None = None) -> str:
        """Return what a service wrote to stdout and stderr since a time (seconds since the epoch)."""
        return self.container(service).logs(since=since).decode(errors="replace")

    def log_entry(self, service: str, text: str) -> dict[str, Any]:
        """
        Return the first JSON line with ``text`` in a service's log, waiting for it a little.

        Raise ``StackError`` when there is none.
        """

        def find() -> str | None:
            lines = self.logs(service).splitlines()
            return next((line for line in lines if line[:1] == "{" and text in line), None)

        entry: dict[str, Any] = json.loads(self.wait(f"{text!r} in the log", find, 5, service))
        return entry

    def uwsgi(self, function: str, socket: str, *arguments: object, user: str = "") -> object:
        """
        Call ``hops.uwsgi_protocol`` inside the app container, where the socket is.

        ``function`` is ``"ping"`` or ``"request"``; the result is what that returns, as JSON does.
        Raise ``StackError`` with the reason when nobody answers.
        """
        source = Path(uwsgi_protocol.__file__).read_text()
        call = json.dumps([function, socket, *arguments])
        result = json.loads(self.run("app", "python3", "-c", source, call, user=user))
        if isinstance(result, dict):
            raise StackError(f"{function} {socket}: {result['error']}")
        return result

    # -- waiting

    def wait(
        self, what: str, condition: Callable[[], T | None], seconds: float, service: str = "nginx"
    ) -> T:
        """
        Poll until ``condition`` returns something true, and return that.

        Raise ``StackError`` naming ``what`` after ``seconds``, or at once when the container of
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
            if self.container(service).status in ("exited", "dead"):
                problem = f"the container of {service} has exited"
                break
            time.sleep(0.1)
        tail = "\n".join(self.logs(service).splitlines()[-20:])
        raise StackError(f"{what}: not within {seconds} s: {problem}\n{tail}")
