"""
The site behind the chain, as far as it can be seen: what the hops judge, looked up once.

Nothing here judges. What cannot be seen raises ``StackError``, and the hop then says so.
"""

import json
import re
import signal
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests

from hops import inside, nginx_config
from hops.stack import Stack, StackError

TIMEOUT = 3  # seconds for an answer of a healthy stack

# What Django raises when the fault is the database's: django.db.utils.
DATABASE_ERRORS = {"OperationalError", "ProgrammingError", "DatabaseError"}

# An address for which nginx asks nobody: it exists in no site.
NOWHERE = "/static/doctor-asks-for-nothing"


class State(NamedTuple):
    """What the engine says of a service's container."""

    status: str  # "missing", "created", "running", "restarting", "exited", …
    exit_code: int
    health: str  # "healthy", "unhealthy", "starting", "" without a health check
    restarts: int
    out_of_memory: bool
    started: str  # when, ISO 8601; empty when never
    error: str  # why the engine could not start it

    @property
    def running(self) -> bool:
        return self.status == "running"

    def __str__(self) -> str:
        words = [self.status]
        if not self.running and self.status != "missing":
            words.append(f"exit code {self.exit_code}")
        if self.out_of_memory and self.exit_code:
            words.append("out of memory")
        if self.restarts:
            words.append(f"restarted {self.restarts} times")
        return ", ".join(words + ([self.health] if self.health else []))


class Site:
    """A stack under diagnosis."""

    # The services of compose.yaml, and the socket where nginx cannot be asked for it.
    nginx, app, init = "nginx", "app", "init"
    usual_socket = "/run/uwsgi/mysite.sock"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.silent = False
        self.client = requests.Session()
        self.client.trust_env = False  # a proxy for the internet has no part in this chain

    # -- containers

    def state(self, service: str) -> State:
        """Return what the engine says of a service; ``missing`` when it has no container."""
        try:
            attributes = self.stack.container(service).attrs
        except StackError:
            return State("missing", 0, "", 0, False, "", "")
        state = attributes["State"]
        return State(
            state["Status"],
            state["ExitCode"],
            (state.get("Health") or {}).get("Status", ""),
            attributes["RestartCount"],
            state["OOMKilled"],
            state["StartedAt"],
            state["Error"],
        )

    @property
    def init_failed(self) -> bool:
        """Whether the last start ended with init, so that the app was not started again."""
        init, app = self.state(self.init), self.state(self.app)
        return init.status == "exited" and init.exit_code != 0 and init.started > app.started

    def last_lines(self, service: str, pattern: str = "", count: int = 3) -> tuple[str, ...]:
        """
        Return the last lines of a service's log that match a pattern.

        A running container's since it started, of another one the end: the reason is there. Control
        characters, which a stranger can put into a log, are replaced.
        """
        state = self.state(service)
        try:
            if state.running:
                since = datetime.fromisoformat(state.started[:19] + "+00:00").timestamp()
                lines = self.stack.logs(service, since).splitlines()
            else:
                lines = self.stack.logs(service).splitlines()[-80:]
        except StackError:
            return ()
        clean = (re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "?", line) for line in lines)
        return tuple([line for line in clean if line and re.search(pattern, line)][-count:])

    # -- nginx

    @cached_property
    def config(self) -> nginx_config.Directive:
        """The configuration on nginx's disk; raise ``StackError`` when nginx refuses it."""
        try:
            return nginx_config.parse(self.stack.run(self.nginx, "nginx", "-T"))
        except ValueError as error:
            raise StackError(str(error)) from None

    @cached_property
    def server(self) -> nginx_config.Directive:
        """The server block that passes requests to the app; raise ``StackError`` with none."""
        for server in self.config.find("server"):
            if next(server.find("uwsgi_pass"), None):
                return server
        raise StackError("no server block of nginx has a uwsgi_pass")

    @cached_property
    def upstream(self) -> str:
        """The address of uwsgi_pass, e.g. ``unix:/run/uwsgi/mysite.sock``."""
        return next(self.server.find("uwsgi_pass")).words[1]

    @cached_property
    def socket(self) -> str:
        """The path of the Unix socket: nginx's uwsgi_pass, or the usual one while nginx is away."""
        if not self.state(self.nginx).running:
            return self.usual_socket
        if not self.upstream.startswith("unix:"):
            raise StackError(f"uwsgi_pass {self.upstream} is not a Unix socket")
        return self.upstream.removeprefix("unix:").rstrip(":")

    @cached_property
    def host_header(self) -> str:
        """The Host that a visitor sends: the first address in the SITE_URL that nginx was given."""
        environment = self.stack.container(self.nginx).attrs["Config"]["Env"]
        url = next(
            (item for item in environment if item.startswith("SITE_URL=")), "=http://localhost"
        )
        return urlsplit(url.partition("=")[2].split(",")[0]).netloc

    @property
    def host(self) -> str:
        """``host_header`` without its port."""
        return urlsplit(f"//{self.host_header}").hostname or "localhost"

    @cached_property
    def nginx_identity(self) -> str:
        """``uid:gid`` of nginx's workers, which are the ones that connect and read files."""
        show = "cat /proc/[0-9]*/status"
        status = self.stack.run(self.nginx, "sh", "-c", show)
        found = re.findall(
            r"^Name:\s*nginx$.*?^PPid:\s*(\d+)$.*?^Uid:\s*\d+\s+(\d+).*?^Gid:\s*\d+\s+(\d+)",
            status,
            re.MULTILINE | re.DOTALL,
        )
        workers = [(uid, gid) for parent, uid, gid in found if parent != "0"]
        if not workers:
            raise StackError("nginx has no worker process")
        return ":".join(workers[0])

    @cached_property
    def address(self) -> str:
        """Where nginx is published on this machine, e.g. ``http://127.0.0.1:8000``."""
        published = self.stack.published(self.nginx)
        if not published:
            raise StackError(f"{self.nginx} has no published port through which it could be asked")
        host, port = published[0]
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def get(self, path: str) -> requests.Response:
        """
        Ask nginx, through the published port and for the site's host; follow no redirect.

        Raise ``requests.Timeout`` after ``TIMEOUT`` seconds. Once ``NOWHERE`` was not answered, for
        which nginx needs nobody else, it is raised at once: one hop that waits is enough.
        """
        if self.silent:
            raise requests.Timeout("nginx does not answer")
        try:
            return self.client.get(
                self.address + path,
                headers={"Host": self.host_header},
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.Timeout:
            self.silent = path == NOWHERE
            raise

    def why_not(self, right: str, path: str) -> dict[str, str]:
        """
        Return what denies nginx's workers a right ("r", "w" or "x") to a path, as words for a cause:
        their ``identity``, the ``path`` at fault, and its mode and owner as ``blame``.

        A directory on the way that they may not enter comes before the path itself. Raise
        ``StackError`` when nothing denies it.
        """
        for place in [*reversed(PurePosixPath(path).parents), PurePosixPath(path)]:
            needed = f"-{right}" if str(place) == path else "-x"
            test = ("test", needed, str(place))
            if self.stack.exec(self.nginx, *test, user=self.nginx_identity).code:
                command = ("stat", "-c", "mode %a, owner %u:%g", str(place))
                seen = self.stack.exec(self.nginx, *command, user="0", privileged=True)
                blame = (seen.out or seen.err).strip()
                return {"identity": self.nginx_identity, "path": str(place), "blame": blame}
        raise StackError(f"nginx answers 403 for {path}, though its workers may read it")

    # -- the app

    @cached_property
    def app_identity(self) -> str:
        """``uid:gid`` of uWSGI."""
        return self.stack.run(self.app, "stat", "-c", "%u:%g", "/proc/1").strip()

    @property
    def inside(self) -> dict[str, Any]:
        """What ``hops.inside`` reports from the app container; raise ``StackError`` with none."""
        if isinstance(self._inside, str):
            raise StackError(self._inside)
        return self._inside

    @cached_property
    def _inside(self) -> dict[str, Any] | str:
        """The report, or why there is none: nobody asks, and waits, twice."""
        source = Path(inside.__file__).read_text()
        output = self.stack.exec(self.app, "python3", "-c", source, self.host)
        if output.code == 128 + signal.SIGALRM:
            return f"the site did not load and answer by itself within {inside.SECONDS} s"
        if output.code:
            return output.err.strip() or f"exit status {output.code}"
        report: dict[str, Any] = json.loads(output.out)
        return report

    def report(self, part: str) -> dict[str, Any]:
        """Return one part of ``inside``; raise ``StackError`` when it could not be had."""
        found: dict[str, Any] = self.inside.get(part, {"error": "the site cannot be loaded"})
        if "error" in found:
            raise StackError(f"{part}: {found['error']}")
        return found
