"""The Compose project in this folder and its containers: queries and actions through Docker."""

import calendar
import contextlib
import fcntl
import json
import os
import re
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from release.terminal import CommandFailed, Failure, ask, run, say, step, watch_run

PREFIX = "com.docker.compose."

# What a script runs in a container, which may be of another release than the script: a label of the image names
# the command that takes these words. Images without that label are of commit 20281f2 or older.
COMMAND_LABEL = "stack.command"
OLD_COMMANDS = {
    "promote": ["python3", "/uwsgi/publish.py"],
    "drain": ["bash", "-c", "python3 /uwsgi/drain.py && python3 /uwsgi/pause.py"],
    "pause": ["python3", "/uwsgi/pause.py"],
    "healthcheck": ["python3", "/uwsgi/healthcheck.py"],
    "check": ["python3", "/uwsgi/init.py", "--check"],
    "serves": ["bash", "-c", '[ /run/uwsgi/mysite.sock -ef "/run/uwsgi/$HOSTNAME.sock" ]'],
    # uWSGI's other children relay its log (log/log-relay).
    "workers": [
        "bash",
        "-c",
        "for id in $(</proc/1/task/1/children); do"
        ' ! grep --quiet --null-data mysite.ini "/proc/$id/cmdline" || echo "$id"; done',
    ],
    "rotate": ["python3", "/uwsgi/secret_key.py", "rotate"],
    "forget": ["python3", "/uwsgi/secret_key.py", "forget"],
    "check-uwsgi": ["uwsgi", "--ini", "/uwsgi/mysite.ini", "--hook-asap", "exit:0"],
}


# Under an Emperor, the app container has other programs, other users and several sites.
SEVERAL_SITES = (
    "this works with one site, and compose/emperor.yaml has several:"
    " docs/emperor.md says what to do there."
)


OLDER = "compose/older.yaml"  # lets Compose start images without that label


class Project:
    """The Compose project in the current folder, as its files and ``.env`` define it now."""

    def __init__(self) -> None:
        self.files = os.environ.get("COMPOSE_FILE")

    def fit(self) -> None:
        """Add or drop the overlay for older images; call this whenever the app's image has changed."""
        os.environ.pop("COMPOSE_FILE", None)
        if self.files:
            os.environ["COMPOSE_FILE"] = self.files
        self.__dict__.pop("definition", None)
        labels = inspect_image(self.app_image)["Config"]["Labels"] or {}
        if COMMAND_LABEL not in labels:
            os.environ["COMPOSE_FILE"] = f"{self.files or files_by_default()}:{OLDER}"
            del self.definition

    @property
    def app_image(self) -> str:
        """Return the name of the app's image."""
        return str(self.services["app"].get("image", f"{self.name}-app"))

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Return compose.yaml as Compose resolves it; raise ``Failure`` if Compose refuses it."""
        try:
            definition: dict[str, Any] = json.loads(
                ask("docker", "compose", "config", "--format", "json")
            )
        except CommandFailed as error:
            raise Failure(
                f"compose.yaml does not work with these settings: {error.last()}"
            ) from None
        return definition

    @property
    def name(self) -> str:
        return str(self.definition["name"])

    @property
    def services(self) -> dict[str, Any]:
        services: dict[str, Any] = self.definition["services"]
        return services

    @property
    def jobs(self) -> list[str]:
        """Return the services whose completion others wait for, in the order in which they run."""
        return jobs(self.services)

    @property
    def needed_by_jobs(self) -> list[str]:
        """Return the long-running services that the jobs depend on, such as a database."""
        needed = depended_on(self.services, self.jobs)
        return [name for name in needed if name not in self.jobs]

    @property
    def other_services(self) -> list[str]:
        """Return the other long-running services: the certificate's renewal, a worker, a database."""
        return [name for name in self.services if name not in {"app", "nginx", *self.jobs}]

    @property
    def built(self) -> dict[str, str]:
        """Return the names of the images that are built here, each with one service that uses it."""
        images: dict[str, str] = {}
        for name, service in self.services.items():
            if "build" in service:
                images[service.get("image", f"{self.name}-{name}")] = name
        return images

    # -- what there is

    def containers(self, service: str, *states: str) -> list["Container"]:
        """Return a service's containers in these states, or in any, newest first."""
        filters = [
            f"label={PREFIX}project={self.name}",
            f"label={PREFIX}service={service}",
            f"label={PREFIX}oneoff=False",  # not those of "docker compose run"
            *(f"status={state}" for state in states),
        ]
        options = [word for filter in filters for word in ("--filter", filter)]
        found = ask("docker", "ps", "--all", "--no-trunc", "--quiet", *options)
        return [Container(id) for id in found.split()]

    def newest(self, service: str) -> "Container":
        """Return a service's newest container; the service must have one."""
        return self.containers(service)[0]

    # -- what is done to it

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose`` and return its output; raise ``CommandFailed`` if it fails."""
        return run("docker", "compose", *arguments)

    def once(self, *arguments: str) -> str:
        """Run a job, or another command in its image, in a new container; return the output."""
        return self.compose("run", "--rm", "--no-deps", "--no-TTY", *arguments)

    def build(self) -> None:
        """Build the images; raise ``Failure`` if that fails. At a terminal, show Compose's progress."""
        otherwise = "the images could not be built: the lines above say why."
        if not os.isatty(2):
            with step("Building the images", otherwise):
                self.compose("build")
        else:
            say("Building the images")
            if watch_run("docker", "compose", "build"):
                raise Failure(otherwise)

    def start_for_jobs(self, otherwise: str) -> None:
        """
        Start the services that the jobs depend on, such as a database. Do not change existing containers.

        Raise ``Failure`` with the sentence ``otherwise``, with ``{services}`` filled in, if they do not start.
        """
        if not (services := self.needed_by_jobs):
            return
        names = ", ".join(services)
        with step(f"Starting {names}", otherwise.replace("{services}", names)):
            self.compose("up", "--detach", "--wait", "--no-build", "--no-recreate", *services)

    def create(self, service: str, more: int = 0) -> None:
        """
        Create ``more`` containers of a service, or by default as many as compose.yaml says; start none.

        Existing containers do not change. Not done with ``up``, which would run the jobs again, or with
        ``--no-deps`` would label the container differently.
        """
        # Otherwise Compose would scale its dependencies to their usual number, too.
        with_it = depended_on(self.services, [service])
        numbers = {name: len(self.containers(name)) for name in with_it}
        numbers[service] = numbers[service] + more if more else 0
        scales = [
            word for name, number in numbers.items() if number for word in ("--scale", f"{name}={number}")
        ]  # fmt: skip
        self.compose("create", "--no-build", "--no-recreate", *scales, service)

    def create_beside(self, service: str) -> "Container":
        """Create one more container of a service, from :latest and ``.env``; return it."""
        self.create(service, 1)
        return self.newest(service)

    def create_candidates(self, service: str) -> list["Container"]:
        """Create a second container for each that a service has, from :latest and ``.env``; return the new ones."""
        number = len(self.containers(service))
        self.create(service, number)
        return self.containers(service)[:number]

    def prune_images(self) -> None:
        """Remove this project's images that have no name any more."""
        run("docker", "image", "prune", "--force", "--filter", f"label={PREFIX}project={self.name}")


class Container:
    """One container, by its id."""

    def __init__(self, id: str) -> None:
        self.id = id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def inspect(self) -> dict[str, Any]:
        """Return the output of ``docker inspect``."""
        found: dict[str, Any] = json.loads(ask("docker", "inspect", self.id))[0]
        return found

    @property
    def image(self) -> str:
        """Return the id of its image."""
        return str(self.inspect()["Image"])

    def execute(self, *command: str) -> str:
        """Run a command in it and return its stdout; raise ``CommandFailed`` if it fails."""
        return ask("docker", "exec", self.id, *command)

    def tell(self, word: str) -> str:
        """Run its image's command for a word such as "pause", and return its stdout."""
        return self.execute(*command(self.inspect()["Config"]["Labels"], word))

    def does(self, word: str) -> bool:
        """Run the command for a word; return whether it succeeds."""
        try:
            self.tell(word)
        except CommandFailed:
            return False
        return True

    def start(self) -> None:
        run("docker", "start", self.id)

    def remove(self) -> None:
        run("docker", "rm", "--force", self.id)

    def wait_until_well(self, seconds: float) -> None:
        """
        Wait until it is healthy, or has run for five seconds without a health check, or has completed.

        Raise ``CommandFailed`` with its last log lines if it fails or does not get there in time.
        """
        deadline = time.monotonic() + seconds
        restarts = self.inspect()["RestartCount"]
        while True:
            found = self.inspect()
            if is_well(found, time.time()):
                return
            ended = found["State"]["Status"] != "running" or found["RestartCount"] != restarts
            if ended or time.monotonic() > deadline:
                raise CommandFailed(self.last_words(found))
            time.sleep(0.2)

    def last_words(self, found: dict[str, Any]) -> str:
        """Return the last log lines of its first run: the engine may have restarted it since."""
        log = run("docker", "logs", self.id)
        lines = log.partition("\n[uWSGI] getting INI configuration")[0].splitlines()[-12:]
        checks = (found["State"].get("Health") or {}).get("Log") or []
        for check in checks[-1:]:
            lines += [f"health check: {line}" for line in check["Output"].splitlines()[-1:]]
        return "\n".join(lines)


def inspect_image(name: str) -> dict[str, Any]:
    """Return the output of ``docker inspect`` for the image with this name or id."""
    found: dict[str, Any] = json.loads(ask("docker", "image", "inspect", name))[0]
    return found


@contextlib.contextmanager
def only_one(project: Project) -> Iterator[None]:
    """
    Keep other scripts from changing a project's stack; raise ``Failure`` while one runs.

    The lock file is named after the project, since a folder may have several; scripts/lib.sh uses the same one. The
    kernel releases the lock when the script ends, even if it is killed.
    """
    path = f"/tmp/compose-{project.name}.lock"  # noqa: S108
    # The first user creates it and the others only read it: in /tmp, writing to another user's file may be denied.
    with contextlib.suppress(FileExistsError):
        new = os.open(path, os.O_CREAT | os.O_EXCL, 0o644)
        os.fchmod(new, 0o644)
        os.close(new)
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Failure(
            "another script is changing this stack at the moment:"
            " wait until it has ended, then run this again."
        ) from None
    finally:
        os.close(file)


# -- what can be told without asking anybody


def jobs(services: dict[str, Any]) -> list[str]:
    """Return the services whose completion another one waits for, each after its own dependencies."""
    awaited = {
        name
        for service in services.values()
        for name, how in (service.get("depends_on") or {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    return [name for name in depended_on(services, sorted(awaited)) if name in awaited]


def depended_on(services: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Return these services and all their dependencies, each after its own dependencies."""
    ordered: list[str] = []

    def add(name: str) -> None:
        if name in ordered or name not in services:
            return
        for each in sorted(services[name].get("depends_on") or {}):
            add(each)
        ordered.append(name)

    for name in names:
        add(name)
    return ordered


def files_by_default() -> str:
    """Return COMPOSE_FILE from ``.env``, or the files that Compose reads by default."""
    with contextlib.suppress(FileNotFoundError):
        if found := re.findall(r"^COMPOSE_FILE=(.+)$", Path(".env").read_text(), re.MULTILINE):
            return str(found[-1]).strip("\"'")
    names = ("compose.yaml", "compose.override.yaml", "compose.override.yml")
    return ":".join(name for name in names if Path(name).exists())


def command(labels: dict[str, str] | None, word: str) -> Sequence[str]:
    """Return the command for a word, in a container whose image has these labels."""
    prefix = (labels or {}).get(COMMAND_LABEL)
    return [*shlex.split(prefix), word] if prefix else OLD_COMMANDS[word]


def is_well(found: dict[str, Any], now: float) -> bool:
    """Return whether a container is well, by its ``docker inspect``; see ``Container.wait_until_well``."""
    state = found["State"]
    if state["Status"] == "running":
        if health := state.get("Health"):
            healthy: bool = health["Status"] == "healthy"
            return healthy
        return now - seconds_since_epoch(state["StartedAt"]) > 5
    done: bool = state["Status"] == "exited" and state["ExitCode"] == 0
    return done and bool(found["HostConfig"]["RestartPolicy"]["Name"] == "no")


def seconds_since_epoch(time_of_engine: str) -> int:
    """Return the engine's time, such as 2026-11-29T23:47:31.479065387Z, in seconds since the epoch."""
    return calendar.timegm(time.strptime(time_of_engine[:19], "%Y-%m-%dT%H:%M:%S"))


def settings(found: dict[str, Any]) -> dict[str, Any]:
    """
    Return the image and settings that a container was created from, as the engine reports them.

    Containers with equal settings behave the same. (Compose's own hash is no use: versions of Compose differ in
    what they include, such as depends_on. They also describe the same volume to the engine in two ways, so
    compare Mounts, which is the result. Leave out what has no fixed order.)
    """
    config, host = dict(found["Config"]), dict(found["HostConfig"])
    if found["Id"].startswith(config["Hostname"]):
        del config["Hostname"]
    config["Env"] = sorted(config["Env"] or [])
    config["Labels"] = own_labels(config)
    for name in ("Binds", "Mounts"):
        host.pop(name, None)
    for name, value in host.items():
        if isinstance(value, list) and name not in ("Dns", "DnsSearch"):
            host[name] = sorted(value, key=json.dumps)
    mounts = [
        (
            mount["Destination"],
            "anonymous" if is_anonymous(mount) else mount.get("Name") or mount["Source"],
            mount["RW"],
            mount["Propagation"],
        )
        for mount in found["Mounts"]
    ]
    networks = sorted(found["NetworkSettings"]["Networks"] or {})
    return {
        "image": found["Image"],
        "config": config,
        "host": host,
        "mounts": sorted(mounts),
        "networks": networks,
    }


def same_image(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """
    Return whether two images, as ``docker inspect`` shows them, differ only in what Compose writes into them.

    Compose writes its version, so that after an upgrade of Compose an unchanged project gets new image ids.
    """
    described = [
        (image["RootFS"], image["Config"] | {"Labels": own_labels(image["Config"])})
        for image in (one, other)
    ]
    return described[0] == described[1]


def own_labels(config: dict[str, Any]) -> dict[str, str]:
    """Return the labels of a container or of an image that are not Compose's."""
    labels: dict[str, str] = config["Labels"] or {}
    return {name: value for name, value in labels.items() if not name.startswith(PREFIX)}


def is_anonymous(mount: dict[str, Any]) -> bool:
    """Return whether a mount is an anonymous volume, of which each container has its own."""
    name = mount.get("Name", "")
    return len(name) == 64 and not set(name) - set("0123456789abcdef")


def alike(one: Container, other: Container) -> bool:
    """Return whether two containers have the same image and the same settings."""
    return settings(one.inspect()) == settings(other.inspect())
