"""
A stack that a stranger wrote: started from a copy of its folder, broken, asked for its symptom, mended.

Nothing here knows the doctor. A `Fault` shows what people see, and only then somebody may name it.
"""

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import docker.errors
import requests

from tests.support.polling import poll
from tests.support.stack import PROJECT_LABEL, Stack, StackError

HERE = Path(__file__).resolve().parent
SHOP = "shop.example.org"
BLOG = "blog.example.org"


class Stranger:
    """A layout (a folder beside this file) as a running Compose project, in a folder of its own."""

    def __init__(
        self, layout: str, folder: Path, project: str, variables: Mapping[str, str]
    ) -> None:
        self.folder = folder / "foreign"
        self.directory = self.folder / layout
        self.project = project
        self.variables = dict(variables)
        self.saved: dict[Path, str] = {}
        self.since = time.time()  # of the last start
        shutil.copytree(HERE, self.folder, ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def stack(self) -> Stack:
        """The project as its files say it now; ``Stack`` remembers what they said."""
        return Stack(self.directory, self.project, self.variables)

    def start(self) -> None:
        """Start everything, make tables and collect static files, as the stranger did once by hand."""
        if (certificates := self.directory / "certs").exists():
            volume = {str(certificates): {"bind": "/certs"}}
            labels = {PROJECT_LABEL: self.project}  # for the clean-up, if we are interrupted
            make = ["sh", "/certs/make.sh"]
            self.stack.engine.containers.run(
                self.variables["FOREIGN_IMAGE"], make, volumes=volume, remove=True, labels=labels
            )
        self.stack.compose("up", "--detach", "--wait")
        for service in self.apps:
            self.manage(service, "migrate")
            self.manage(service, "collectstatic", "--no-input")
        self.wait_until_healthy()

    def discard(self) -> None:
        """Remove containers, networks and volumes, and what root wrote into the folder."""
        self.restore()
        self.stack.compose("down", "--remove-orphans", "--volumes", "--timeout", "0", check=False)
        volume = {str(self.folder): {"bind": "/folder"}}
        labels = {PROJECT_LABEL: self.project}
        remove = ["find", "/folder", "-mindepth", "1", "-delete"]
        self.stack.engine.containers.run(
            self.variables["FOREIGN_IMAGE"], remove, volumes=volume, remove=True, labels=labels
        )

    # -- to break and to mend

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file of the copy; ``mend`` puts the old one back."""
        path = self.directory / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        self.saved.setdefault(path, text)
        path.write_text(text.replace(old, new))

    def restore(self) -> None:
        for path, text in self.saved.items():
            path.write_text(text)
        self.saved.clear()

    def again(self, *services: str, recreate: bool = False) -> None:
        """Start services again, whatever becomes of them: a start that fails may be the fault."""
        self.since = time.time()
        if recreate:
            up = ("up", "--detach", "--no-deps", "--force-recreate", "--timeout", "0")
            self.stack.compose(*up, *services, check=False)
            return
        for service in services:
            container = self.stack.container(service)
            # Not restart or stop with a timeout of 0: the engine may then handle the end twice, and the
            # next start finds no root file system.
            with contextlib.suppress(docker.errors.APIError):
                container.kill()
            container.wait()
            with contextlib.suppress(docker.errors.APIError):
                container.start()

    def act(self, service: str, command: str) -> None:
        """Run a shell command as root in a service's container, or in the folder ("here")."""
        if service == "here":
            subprocess.run(["sh", "-c", command], cwd=self.directory, check=True)
        else:
            self.stack.run(service, "bash", "-c", command, user="0")

    def manage(self, service: str, *arguments: str) -> str:
        """Run ``manage.py`` as the site's workers do: their user, the master's environment."""
        as_worker = (
            "export $(grep --null-data ^SHOP_ /proc/1/environ | tr '\\0' ' ');"
            " until worker=$(cut -d' ' -f1 /proc/1/task/1/children) && [ $worker ]; do sleep 0.1; done;"
            " cd /proc/$worker/cwd;"
            " id=$(stat -c %u /proc/$worker);"
            ' exec setpriv --reuid=$id --regid=$id --clear-groups python3 manage.py "$@"'
        )
        # privileged: what changed its user keeps its environment from root, too.
        command = ("bash", "-e", "-c", as_worker, "manage.py", *arguments)
        output = self.stack.exec(service, *command, user="0", privileged=True)
        if output.code:
            raise StackError(f"manage.py {arguments}: {output.out}{output.err}")
        return output.out

    def stop_workers(self, service: str) -> None:
        """Let all workers of a uWSGI stand still, as soon as it has some."""
        workers = "$(cat /proc/1/task/1/children)"
        self.act(service, f'until w={workers} && [ "$w" ]; do sleep 0.1; done; kill -STOP $w')

    # -- to look

    @cached_property
    def apps(self) -> list[str]:
        """The services that run Django; no fault takes one away."""
        return [
            name
            for name in ("django", "backend", "blog")
            if name in self.stack.definition["services"]
        ]

    @property
    def hosts(self) -> list[str]:
        return [SHOP, BLOG] if "blog" in self.apps else [SHOP]

    def address(self, host: str = SHOP) -> str:
        """Return the address of a site without its path, as a browser shows it."""
        if "HTTPS_PORT" in self.variables and host == SHOP:
            return f"https://{host}:{self.variables['HTTPS_PORT']}"
        return f"http://{host}:{self.variables['HTTP_PORT']}"

    def ask(
        self,
        path: str = "/",
        host: str = SHOP,
        method: str = "GET",
        person: requests.Session | None = None,
        **options: Any,
    ) -> requests.Response:
        """Ask for a page as a browser does that knows the host; follow no redirect."""
        address = self.address(host)
        headers = {"Host": address.split("/")[-1], **options.pop("headers", {})}
        return (person or requests.Session()).request(
            method,
            address.replace(host, "127.0.0.1") + path,
            headers=headers,
            allow_redirects=False,
            verify=False,  # what tls makes of it is the doctor's question
            timeout=options.pop("timeout", 15),
            **options,
        )

    def status(self, path: str = "/", host: str = SHOP) -> int:
        """Return the status of a page, 0 when nobody answers."""
        try:
            return self.ask(path, host).status_code
        except requests.RequestException:
            return 0

    def log(self, service: str) -> str:
        """Return what a service said since something was last started, and the engine of it."""
        container = self.stack.container(service)
        state = container.attrs["State"]
        checks = (state.get("Health") or {}).get("Log", [])
        said = container.logs(since=self.since).decode(errors="replace")
        return "\n".join([said, state["Error"], *(check["Output"] for check in checks)])

    def wait_for(self, what: str, seen: Callable[[], bool], seconds: float = 20) -> None:
        poll(what, seen, seconds)

    def wait_until_healthy(self) -> None:
        for host in self.hosts:
            self.wait_for(f"{host} answers", lambda host=host: self.status("/", host) == 200)  # type: ignore[misc]


# -- what people do that makes a fault show


def login(stranger: Stranger, host: str = SHOP) -> requests.Response:
    """Send the admin's login form as a browser does, with a wrong password: 200 where forms work."""
    person = requests.Session()
    path = "/admin/login/"
    page = stranger.ask(path, host, person=person)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    if not token:
        return page
    return stranger.ask(
        path,
        host,
        "POST",
        person,
        data={"username": "x", "password": "x", "csrfmiddlewaretoken": token[1]},
        headers={"Origin": stranger.address(host), "Referer": stranger.address(host) + path},
    )


def crowd(service: str) -> Callable[[Stranger], requests.Response]:
    """Stop a service's workers, and let more people wait than its queue holds; the first answer."""

    def do(stranger: Stranger) -> requests.Response:
        stranger.stop_workers(service)
        with ThreadPoolExecutor(12) as people:
            answers = list(people.map(lambda _: stranger.ask(), range(12)))
        return min(answers, key=lambda answer: answer.elapsed)

    return do


def upload(size: int = 100, name: str = "photo.png") -> Callable[[Stranger], requests.Response]:
    """Upload a file; the answer is its address, or what the server made of the attempt."""

    def do(stranger: Stranger) -> requests.Response:
        return stranger.ask("/upload/", method="POST", files={"photo": (name, b"x" * size)})

    return do


def upload_and_look(
    size: int = 100, name: str = "photo.png"
) -> Callable[[Stranger], requests.Response]:
    """Upload a file and fetch it."""

    def do(stranger: Stranger) -> requests.Response:
        answer = upload(size, name)(stranger)
        return stranger.ask(answer.text) if answer.ok else answer

    return do


# -- faults


@dataclass(frozen=True)
class Fault:
    """
    One failure: what breaks, what people then see, and what it is to be called.

    Broken by edits of files (file, old, new), by a command in a container (service, to break, to
    mend), or by nothing but the request itself; then the services in ``again`` are started again.
    """

    entry: str  # its id in the catalogue of failures
    cause: str  # what the doctor calls it
    edits: tuple[tuple[str, str, str], ...] = ()
    act: tuple[str, str, str] | None = None
    again: tuple[str, ...] = ()
    recreate: bool = False  # a new container, also where compose.yaml is as it was
    ask: str | Callable[[Stranger], requests.Response | None] = "/"
    status: int | tuple[int, ...] = 502  # 0 is no answer at all
    log: tuple[str, str] | None = None  # of a service, a line that matches
    site: str = SHOP
    advice: bool = False  # works, and could be better

    def break_it(self, stranger: Stranger) -> None:
        for file, old, new in self.edits:
            stranger.edit(file, old, new)
        if self.act:
            stranger.act(self.act[0], self.act[1])
        stranger.again(*self.again, recreate=self._recreate)

    def mend(self, stranger: Stranger) -> None:
        stranger.restore()
        if self.act and self.act[2]:
            stranger.act(self.act[0], self.act[2])
        stranger.again(*self.again, recreate=self._recreate)
        stranger.wait_until_healthy()

    @property
    def _recreate(self) -> bool:
        return self.recreate or any(file == "compose.yaml" for file, _, _ in self.edits)

    def show(self, stranger: Stranger) -> str:
        """Do what people do until the symptom is there; return it, raise ``AssertionError`` if not."""
        expected = self.status if isinstance(self.status, tuple) else (self.status,)
        seen, log = 0, ""

        def shown() -> str | None:
            nonlocal seen, log
            seen = self._seen(stranger)
            log = stranger.log(self.log[0]) if self.log else ""
            line = re.search(f".*(?:{self.log[1]}).*", log) if self.log else None
            if seen in expected and bool(line) == bool(self.log):
                return f"{seen} {line[0] if line else ''}"
            return None

        try:
            return poll(f"the symptom of {self.cause}", shown, 20)
        except AssertionError as error:
            raise AssertionError(f"{error}{seen}, not {self.status}\n{log[-3000:]}") from None

    def _seen(self, stranger: Stranger) -> int:
        try:
            answer = self.ask(stranger) if callable(self.ask) else stranger.ask(self.ask, self.site)
        except OSError:  # what requests raises is one, too
            return 0
        return answer.status_code if answer is not None else 0
