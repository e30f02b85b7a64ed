"""The Compose project in this folder, and its containers: what is asked of Docker, and what is done to it."""

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

# What a script asks of a container, which may be of another release than the script: the image names the
# command that takes these words, in a label. Images without that label are of commit 20281f2 or older.
COMMAND_LABEL = "stack.command"
OLD_COMMANDS = {
    "promote": ["python3", "/uwsgi/publish.py"],
    "drain": ["bash", "-c", "python3 /uwsgi/drain.py && python3 /uwsgi/pause.py"],
    "pause": ["python3", "/uwsgi/pause.py"],
    "healthcheck": ["python3", "/uwsgi/healthcheck.py"],
    "check": ["python3", "/uwsgi/init.py", "--check"],
    "serves": ["bash", "-c", '[ /run/uwsgi/mysite.sock -ef "/run/uwsgi/$HOSTNAME.sock" ]'],
    # The other children of uWSGI hand on its log (log/log-relay).
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


# Under an Emperor the app's container has other programs, other users and several sites.
SEVERAL_SITES = (
    "this works with one site, and compose/emperor.yaml has several:"
    " docs/emperor.md says what to do there."
)


OLDER = "compose/older.yaml"  # how Compose starts images without that label


class Project:
    """The Compose project in the current folder, as its files and ``.env`` have it now."""

    def __init__(self) -> None:
        self.files = os.environ.get("COMPOSE_FILE")

    def fit(self) -> None:
        """Let Compose start the app's image as it is; to be called when that has changed."""
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
        """The name of the app's image."""
        return str(self.services["app"].get("image", f"{self.name}-app"))

    @cached_property
    def definition(self) -> dict[str, Any]:
        """What Compose makes of compose.yaml; raise ``Failure`` when it does not."""
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
        """The services that others wait for until they have completed, in the order in which they run."""
        return jobs(self.services)

    @property
    def needed_by_jobs(self) -> list[str]:
        """The services that the jobs depend on and that run on, such as a database."""
        needed = depended_on(self.services, self.jobs)
        return [name for name in needed if name not in self.jobs]

    @property
    def other_services(self) -> list[str]:
        """The services that run on, besides app and nginx: renewal of compose/tls.yaml, a worker, a database."""
        return [name for name in self.services if name not in {"app", "nginx", *self.jobs}]

    @property
    def built(self) -> dict[str, str]:
        """The names of the images that are built here, each with a service that runs one."""
        images: dict[str, str] = {}
        for name, service in self.services.items():
            if "build" in service:
                images[service.get("image", f"{self.name}-{name}")] = name
        return images

    # -- what there is

    def containers(self, service: str, *states: str) -> list["Container"]:
        """Return a service's containers in these states, or in any, the newest first."""
        filters = [
            f"label={PREFIX}project={self.name}",
            f"label={PREFIX}service={service}",
            f"label={PREFIX}oneoff=False",  # none of "docker compose run"
            *(f"status={state}" for state in states),
        ]
        options = [word for filter in filters for word in ("--filter", filter)]
        found = ask("docker", "ps", "--all", "--no-trunc", "--quiet", *options)
        return [Container(id) for id in found.split()]

    def newest(self, service: str) -> "Container":
        """Return the newest container of a service that has one."""
        return self.containers(service)[0]

    # -- what is done to it

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose`` and return what it printed; raise ``CommandFailed`` when it fails."""
        return run("docker", "compose", *arguments)

    def once(self, *arguments: str) -> str:
        """Run a job, or another command of its image, in a container of its own; return what it printed."""
        return self.compose("run", "--rm", "--no-deps", "--no-TTY", *arguments)

    def build(self) -> None:
        """Build the images; raise ``Failure`` when they do not. At a terminal, what Compose shows is worth seeing."""
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
        Start what the jobs depend on, such as a database, where it does not run. Leave alone what is there.

        Raise ``Failure`` with the sentence ``otherwise``, in which ``{services}`` are those, when it does not.
        """
        if not (services := self.needed_by_jobs):
            return
        names = ", ".join(services)
        with step(f"Starting {names}", otherwise.replace("{services}", names)):
            self.compose("up", "--detach", "--wait", "--no-build", "--no-recreate", *services)

    def create(self, service: str, more: int = 0) -> None:
        """
        Make ``more`` containers of a service than it has, or else as many as compose.yaml says; start none.

        Leaves alone what is there. Not ``up``: that would run the jobs again, and with ``--no-deps`` it would
        mark the container as another's.
        """
        # Compose would bring what this one depends on to its usual number, too.
        with_it = depended_on(self.services, [service])
        numbers = {name: len(self.containers(name)) for name in with_it}
        numbers[service] = numbers[service] + more if more else 0
        scales = [
            word for name, number in numbers.items() if number for word in ("--scale", f"{name}={number}")
        ]  # fmt: skip
        self.compose("create", "--no-build", "--no-recreate", *scales, service)

    def create_beside(self, service: str) -> "Container":
        """Make one more container of a service, from :latest and ``.env``; return it."""
        self.create(service, 1)
        return self.newest(service)

    def create_candidates(self, service: str) -> list["Container"]:
        """Make a second container beside each that a service has, from :latest and ``.env``; return those."""
        number = len(self.containers(service))
        self.create(service, number)
        return self.containers(service)[:number]

    def prune_images(self) -> None:
        """Remove the images of this project that have lost their names."""
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
        """Return what the engine knows of it now."""
        found: dict[str, Any] = json.loads(ask("docker", "inspect", self.id))[0]
        return found

    @property
    def image(self) -> str:
        """The id of its image."""
        return str(self.inspect()["Image"])

    def execute(self, *command: str) -> str:
        """Run a command in it, and return its stdout; raise ``CommandFailed`` when it fails."""
        return ask("docker", "exec", self.id, *command)

    def tell(self, word: str) -> str:
        """Run what its image has for a word such as "pause", and return its stdout."""
        return self.execute(*command(self.inspect()["Config"]["Labels"], word))

    def does(self, word: str) -> bool:
        """Return whether that succeeds."""
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
        Wait until it is healthy, or without a health check has run for five seconds, or is done.

        Raise ``CommandFailed`` with its last words when it ends or is late.
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
        """Return the end of its log, of its first attempt: the engine may have started it once more by now."""
        log = run("docker", "logs", self.id)
        lines = log.partition("\n[uWSGI] getting INI configuration")[0].splitlines()[-12:]
        checks = (found["State"].get("Health") or {}).get("Log") or []
        for check in checks[-1:]:
            lines += [f"health check: {line}" for line in check["Output"].splitlines()[-1:]]
        return "\n".join(lines)


def inspect_image(name: str) -> dict[str, Any]:
    """Return what the engine knows of the image that has a name, or an id, now."""
    found: dict[str, Any] = json.loads(ask("docker", "image", "inspect", name))[0]
    return found


@contextlib.contextmanager
def only_one(project: Project) -> Iterator[None]:
    """
    Keep other scripts from changing a project's stack; raise ``Failure`` while one is at work.

    The lock is on a file named after the project, the same as in scripts/lib.sh: a folder may have several. The
    kernel takes it back, also from a script that was killed.
    """
    path = f"/tmp/compose-{project.name}.lock"  # noqa: S108
    # Made by whoever comes first, and read by all: in /tmp nobody may write to another one's file.
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
    """Return the services that some other one waits for until they have completed, each after what it needs."""
    awaited = {
        name
        for service in services.values()
        for name, how in (service.get("depends_on") or {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    return [name for name in depended_on(services, sorted(awaited)) if name in awaited]


def depended_on(services: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Return these services and all that they depend on, each after what it needs."""
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
    """Return what COMPOSE_FILE is in ``.env``, or else the files that Compose reads without one."""
    with contextlib.suppress(FileNotFoundError):
        if found := re.findall(r"^COMPOSE_FILE=(.+)$", Path(".env").read_text(), re.MULTILINE):
            return str(found[-1]).strip("\"'")
    names = ("compose.yaml", "compose.override.yaml", "compose.override.yml")
    return ":".join(name for name in names if Path(name).exists())


def command(labels: dict[str, str] | None, word: str) -> Sequence[str]:
    """Return the command with which a container of an image with these labels does what the word says."""
    prefix = (labels or {}).get(COMMAND_LABEL)
    return [*shlex.split(prefix), word] if prefix else OLD_COMMANDS[word]


def is_well(found: dict[str, Any], now: float) -> bool:
    """Return whether a container works, by what the engine says of it: see ``Container.wait_until_well``."""
    state = found["State"]
    if state["Status"] == "running":
        if health := state.get("Health"):
            healthy: bool = health["Status"] == "healthy"
            return healthy
        return now - seconds_since_epoch(state["StartedAt"]) > 5
    done: bool = state["Status"] == "exited" and state["ExitCode"] == 0
    return done and bool(found["HostConfig"]["RestartPolicy"]["Name"] == "no")


def seconds_since_epoch(time_of_engine: str) -> int:
    """Return a time that the engine wrote, such as 2026-11-29T23:47:31.479065387Z, as Python has it."""
    return calendar.timegm(time.strptime(time_of_engine[:19], "%Y-%m-%dT%H:%M:%S"))


def settings(found: dict[str, Any]) -> dict[str, Any]:
    """
    Return what a container was made from: its image, and what the engine was told, by what it says of it.

    Two that are equal in this do the same. (Not Compose's own hash of that: what it counts differs between
    versions of Compose, depends_on for one. They also tell the engine of the same volume in two ways, so
    Mounts counts, where the engine says what came of it; and nothing that has its order by chance.)
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
    Return whether two images, as the engine describes them, are the same but for what Compose writes into them.

    That is its version, so that after an upgrade an unchanged project gets images with other ids.
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
    """Return whether a mount is a volume to which nobody gave a name: each container has another."""
    name = mount.get("Name", "")
    return len(name) == 64 and not set(name) - set("0123456789abcdef")


def alike(one: Container, other: Container) -> bool:
    """Return whether two containers have the same image and the same settings."""
    return settings(one.inspect()) == settings(other.inspect())
