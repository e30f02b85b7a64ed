"""
The rungs: read what each one is from ladder/compose.yaml, start it and send it requests.

They run in a Compose project of their own, which ``scripts/ladder`` names and sets up.
"""

import contextlib
import http.client
import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from whichhop.target.stack import Stack, StackError

SECONDS = 60  # for the first answer: uWSGI loads the site first
SOON = 5  # seconds, once uWSGI has loaded the site
TIMEOUT = 10  # for an answer


@dataclass(frozen=True)
class Rung:
    """One rung; its texts come from ladder/compose.yaml."""

    number: int
    diagram: str
    services: list[str]  # those that it adds, from the end of the chain to its start
    answers: Mapping[str, str]  # path → what the answer must contain
    adds: str
    look: str
    port: int  # on 127.0.0.1


class Answer(NamedTuple):
    """A rung's answer to a GET."""

    path: str
    status: int
    server: str  # the Server header, or ""
    kind: str  # the Content-Type header
    body: bytes
    seconds: float

    @property
    def first_line(self) -> str:
        """The first non-empty line of the body, at most 60 characters; for a picture, what it is."""
        if self.kind.startswith("image/"):
            return f"({self.kind}, {len(self.body)} bytes)"
        lines = [line.strip() for line in self.body.decode(errors="replace").splitlines()]
        line = next(filter(None, lines), "")
        return line if len(line) <= 60 else f"{line[:59]}…"

    def __str__(self) -> str:
        status = f"{self.status} {HTTPStatus(self.status).phrase}"
        return (
            f"GET {self.path} → {status}, Server: {self.server or '(none)'},"
            f" {self.seconds * 1000:.0f} ms: {self.first_line}"
        )


class NotAnswered(Exception):
    """A rung did not answer as it should; the message says what it did instead."""


def ladder() -> Stack:
    """Return the ladder's own Compose project; ``scripts/ladder`` has set the environment."""
    return Stack(Path.cwd(), os.environ["COMPOSE_PROJECT_NAME"])


def rungs(stack: Stack) -> list[Rung]:
    """Return the rungs from the bottom up; the last service of each gets the requests."""
    services = stack.definition["services"]
    return [
        Rung(
            number,
            **words,
            port=int(services[words["services"][-1]]["ports"][0]["published"]),
        )
        for number, words in enumerate(stack.definition["x-ladder"], start=1)
    ]


def start(stack: Stack, rung: Rung) -> None:
    """Start a rung and its dependencies; raise ``StackError`` with Compose's message if that fails."""
    stack.compose("up", "--detach", "--no-build", *rung.services)


def command(stack: Stack, service: str) -> str:
    """Return the command of a service's container, as one would type it."""
    attributes = stack.container(service).attrs
    return shlex.join([attributes["Path"], *attributes["Args"]])


def get(port: int, path: str = "/", timeout: float = TIMEOUT) -> Answer:
    """Return the answer of a port on 127.0.0.1 to a GET; raise ``OSError`` without an HTTP answer in time."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}"})
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"no answer in HTTP: {error!r}") from None
    finally:
        connection.close()
    seconds = time.monotonic() - started
    server, kind = (response.getheader(name, "") for name in ("Server", "Content-Type"))
    return Answer(path, response.status, server, kind, body, seconds)


def ask(stack: Stack, rung: Rung) -> list[Answer]:
    """
    Return the answers of a rung that was just started to all its requests.

    Raise ``NotAnswered`` if an answer is still wrong ``SOON`` seconds after the site is loaded.
    """
    deadline = time.monotonic() + SECONDS
    loaded = False
    answers: list[Answer] = []
    for path, expected in rung.answers.items():
        while problem := _problem(rung, path, expected, answers):
            if not loaded and _loaded(stack, rung):
                loaded, deadline = True, time.monotonic() + SOON
            if time.monotonic() > deadline or _ended(stack, rung):
                raise NotAnswered(problem)
            time.sleep(0.1)
    return answers


def _loaded(stack: Stack, rung: Rung) -> bool:
    """Return whether uWSGI, if the rung has one, has loaded the site and started its workers."""
    apps = [service for service in rung.services if service == "app" or "uwsgi" in service]
    with contextlib.suppress(StackError):
        return all("spawned uWSGI worker" in stack.logs(service) for service in apps)
    return False


def _problem(rung: Rung, path: str, expected: str, answers: list[Answer]) -> str:
    """Send one request: append a good answer to ``answers``, or return what is wrong."""
    try:
        answer = get(rung.port, path)
    except OSError as error:
        return f"GET {path} got no answer on port {rung.port}: {error}"
    if expected and (answer.status != HTTPStatus.OK or expected.encode() not in answer.body):
        return f"{answer}, and not 200 with {expected!r}"
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"{answer}, which is an error of the server"
    answers.append(answer)
    return ""


def _ended(stack: Stack, rung: Rung) -> bool:
    """Return whether a container of a rung has ended without having completed its job."""
    for service in rung.services:
        try:
            state = stack.container(service).attrs["State"]
        except StackError:
            return True
        if state["Status"] in ("exited", "dead") and (
            service not in ("init", "nginx-config") or state["ExitCode"]
        ):
            return True
    return False
