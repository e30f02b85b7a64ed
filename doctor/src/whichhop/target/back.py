"""
uWSGI and the site it runs, as far as a hop has to know them: looked up once.

Nothing here judges. What cannot be seen raises ``StackError``, and the hop then says so.
"""

import json
import shlex
import signal
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from whichhop import probes
from whichhop.probes import site as site_probe
from whichhop.target import emperor, uwsgi_log
from whichhop.target.containers import Containers
from whichhop.target.emperor import Vassal
from whichhop.target.processes import Identity, Process, masters, workers
from whichhop.target.stack import StackError


class Back(Containers):
    """The back of a site: uWSGI, its process and its environment, and the site as loaded beside it."""

    @cached_property
    def processes(self) -> list[Process]:
        """The processes of the app's container."""
        return self.stack.processes(self.app)

    @cached_property
    def uwsgi(self) -> Process:
        """
        uWSGI's master process, or the only one; under an Emperor, that of the site's vassal.

        Raise ``StackError`` when none runs.
        """
        if self.vassal:
            if self.vassal.master:
                return self.vassal.master
            raise StackError(f"the vassal {self.vassal.name} does not run in {self.app}")
        for master in masters(self.processes, "uwsgi"):
            return master
        raise StackError(f"no uWSGI process runs in {self.app}")

    @cached_property
    def vassals(self) -> list[Vassal] | None:
        """The vassals in the app's container; ``None`` when no Emperor runs there, or nothing at all."""
        try:
            return emperor.look(self.stack, self.app, self.processes)
        except StackError:
            return None

    @cached_property
    def vassal(self) -> Vassal | None:
        """The vassal that has the site's socket; ``None`` when there is none, or no Emperor."""
        if not self.vassals:
            return None
        try:
            address = self.socket
        except StackError:
            return None
        for vassal in self.vassals:
            if vassal.has(address):
                return vassal
        near = [vassal for vassal in self.vassals if vassal.is_near(address)]
        return near[0] if len(near) == 1 else None

    @property
    def socket(self) -> str | tuple[str, int]:
        """Where uWSGI listens, which nginx knows: ``Site`` looks."""
        raise StackError("nobody says where the socket is")

    @property
    def beside_uwsgi(self) -> str:
        """The user to run things as that use the socket: in a vassal's case, that user alone may."""
        return str(self.app_identity) if self.vassal and self.vassal.master else ""

    @property
    def runs_uwsgi(self) -> bool:
        """Whether the app's container has a uWSGI in it now."""
        try:
            return bool(self.uwsgi)
        except StackError:
            return False

    @cached_property
    def app_identity(self) -> Identity:
        """The rights of uWSGI's workers."""
        return workers(self.processes, self.uwsgi)[0].identity

    @cached_property
    def environment(self) -> dict[str, str]:
        """
        The environment that uWSGI was started with. It holds secrets: never show it.

        Its container's, where uWSGI has written its process name over its own (auto-procname).
        """
        command = ("cat", f"/proc/{self.uwsgi.pid}/environ")

        def read() -> str:
            return self.stack.exec(self.app, *command, user="0", privileged=True).out

        items = (read() or read()).split("\0")  # never empty: the engine lost the answer
        if not any(item.startswith("PATH=") for item in items):
            items = self.stack.container(self.app).attrs["Config"]["Env"]
        pairs = (item.partition("=") for item in items)
        return {name: value for name, equals, value in pairs if equals}

    @cached_property
    def python(self) -> str:
        """The interpreter to run things with beside uWSGI; raise ``StackError`` with none."""
        program = self.uwsgi.command.split(" ")[0]
        if "python" in program:
            return program
        # uWSGI finds the virtual environment that it is installed in; so does the Python beside it.
        homes = [str(PurePosixPath(path).parent) for path in (program, self.uwsgi.program)]
        homes.append(self.environment.get("VIRTUAL_ENV", "") + "/bin")
        tried = [f"{home}/python3" for home in homes if home.startswith("/") and home != "/bin"]
        tried += ["python3", "python"]
        show = f"command -v {' || command -v '.join(map(shlex.quote, tried))}"
        output = self.stack.exec(self.app, "sh", "-c", show, environment=self.path_variable)
        if output.code:
            raise StackError(f"there is no Python in {self.app} to look at the site with")
        return output.out.strip()

    @property
    def path_variable(self) -> dict[str, str]:
        return {"PATH": self.environment["PATH"]} if "PATH" in self.environment else {}

    @property
    def inside(self) -> dict[str, Any]:
        """What ``whichhop.probes.site`` reports of the site; raise ``StackError`` when it cannot be had."""
        if isinstance(self._inside, str):
            raise StackError(self._inside)
        return self._inside

    @property
    def page(self) -> dict[str, Any]:
        """What it reports of the front page; empty when it did not get that far."""
        page: dict[str, Any] = self.inside.get("page", {})
        return page

    @property
    def has_django(self) -> bool:
        """Whether the app is a Django site; raise ``StackError`` when it cannot be loaded."""
        load = self.inside["load"]
        if "error" in load:
            raise StackError(f"the site cannot be loaded: {load['error']}")
        return bool(load["django"])

    def report(self, part: str) -> dict[str, Any]:
        """Return one part of ``inside``; raise ``StackError`` when it could not be had."""
        found: dict[str, Any] = self.inside.get(part, {"error": "the site cannot be loaded"})
        if "error" in found:
            raise StackError(f"{part}: {found['error']}")
        return found

    @cached_property
    def uwsgi_line(self) -> str:
        """A regular expression for how uWSGI begins the lines of its log."""
        try:
            return uwsgi_log.beginning(self.report("uwsgi")["options"])
        except StackError:
            return uwsgi_log.USUAL

    @property
    def named_host(self) -> str:
        """The host that visitors ask for, where nginx knows it: ``Site`` looks."""
        return ""

    @cached_property
    def _inside(self) -> dict[str, Any] | str:
        """The report, or why there is none: nobody asks, and waits, twice."""
        try:
            worker = workers(self.processes, self.uwsgi)[0]
            attributes = self.stack.container(self.app).attrs
            command = [attributes["Path"], *attributes["Args"]]
            workdir = attributes["Config"]["WorkingDir"]
            if self.vassal:
                command, workdir = ["uwsgi", "--ini", self.vassal.name], self.vassal.directory
            call = {
                "host": self.named_host,
                "pid": self.uwsgi.pid,
                "program": worker.program,
                "directory": worker.directory,
                "command": command,
                "workdir": workdir,
            }
            output = self.stack.exec(
                self.app,
                self.python,
                "-c",
                probes.source("site.py"),
                json.dumps(call),
                user=str(self.app_identity),
                environment=self.environment,
            )
        except StackError as error:
            return str(error)
        if output.code == 128 + signal.SIGKILL:
            return (
                f"{self.app} has not enough memory left to load the site once more, to look at it"
            )
        if output.code == 128 + signal.SIGALRM:
            return f"the site did not load and answer by itself within {site_probe.SECONDS} s"
        if output.code:
            return output.err.strip() or f"exit status {output.code}"
        report: dict[str, Any] = json.loads(output.out)
        return report
