"""
The service with uWSGI: its process, its environment, and the site as a probe loads it beside uWSGI.

Nothing here draws conclusions. What cannot be seen raises ``StackError``, which the hop then reports.
"""

import json
import shlex
import signal
from collections.abc import Callable
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from whichhop import probes
from whichhop.probes import site as site_probe
from whichhop.target import emperor, uwsgi_log
from whichhop.target.emperor import Vassal
from whichhop.target.processes import Identity, Process, masters, workers
from whichhop.target.service import Service
from whichhop.target.site_report import SiteReport, known
from whichhop.target.stack import Stack, StackError

Address = str | tuple[str, int]


class AppService(Service):
    """
    The service with uWSGI, or with an Emperor that has a vassal for the site.

    ``socket`` returns the address at which nginx expects it; ``host`` is nginx's name for the site, or "" if
    nginx accepts any.
    """

    def __init__(
        self, stack: Stack, name: str, socket: Callable[[], Address], host: Callable[[], str]
    ) -> None:
        super().__init__(stack, name)
        self._socket, self._host = socket, host

    # -- processes

    @cached_property
    def processes(self) -> list[Process]:
        """The processes of its container."""
        return self.stack.processes(self.name)

    @cached_property
    def uwsgi(self) -> Process:
        """
        uWSGI's master process, or its only one; under an Emperor, that of the site's vassal.

        Raise ``StackError`` if none runs.
        """
        if self.vassal:
            if self.vassal.master:
                return self.vassal.master
            raise StackError(f"the vassal {self.vassal.name} does not run in {self.name}")
        for master in masters(self.processes, "uwsgi"):
            return master
        raise StackError(f"no uWSGI process runs in {self.name}")

    @property
    def runs_uwsgi(self) -> bool:
        """Whether uWSGI runs in its container now."""
        try:
            return bool(self.uwsgi)
        except StackError:
            return False

    @cached_property
    def vassals(self) -> list[Vassal] | None:
        """The vassals in its container; ``None`` if no Emperor, or nothing at all, runs there."""
        try:
            return emperor.look(self.stack, self.name, self.processes)
        except StackError:
            return None

    @cached_property
    def vassal(self) -> Vassal | None:
        """The vassal that has the site's socket; ``None`` if there is none, or no Emperor."""
        if not self.vassals:
            return None
        try:
            address = self._socket()
        except StackError:
            return None
        for vassal in self.vassals:
            if vassal.has(address):
                return vassal
        near = [vassal for vassal in self.vassals if vassal.is_near(address)]
        return near[0] if len(near) == 1 else None

    @cached_property
    def identity(self) -> Identity:
        """The rights of uWSGI's workers."""
        return workers(self.processes, self.uwsgi)[0].identity

    # -- what can be run beside it

    @cached_property
    def environment(self) -> dict[str, str]:
        """
        The environment that uWSGI was started with. It contains secrets: never print it.

        If uWSGI has overwritten it with its process name (auto-procname), the container's environment.
        """
        command = ("cat", f"/proc/{self.uwsgi.pid}/environ")

        def read() -> str:
            return self.exec(*command, user="0", privileged=True).out

        items = (read() or read()).split("\0")  # if empty, the engine lost the answer
        if not any(item.startswith("PATH=") for item in items):
            items = self.attributes["Config"]["Env"]
        pairs = (item.partition("=") for item in items)
        return {name: value for name, equals, value in pairs if equals}

    @property
    def _path(self) -> dict[str, str]:
        return {"PATH": self.environment["PATH"]} if "PATH" in self.environment else {}

    @cached_property
    def _python(self) -> str:
        """The interpreter for running probes beside uWSGI; raise ``StackError`` if there is none."""
        program = self.uwsgi.command.split(" ")[0]
        if "python" in program:
            return program
        # uWSGI uses the virtual environment that it is installed in; so does the Python beside it.
        homes = [str(PurePosixPath(path).parent) for path in (program, self.uwsgi.program)]
        homes.append(self.environment.get("VIRTUAL_ENV", "") + "/bin")
        tried = [f"{home}/python3" for home in homes if home.startswith("/") and home != "/bin"]
        tried += ["python3", "python"]
        show = f"command -v {' || command -v '.join(map(shlex.quote, tried))}"
        output = self.exec("sh", "-c", show, environment=self._path)
        if not (output.code or output.out):  # the engine lost the answer
            output = self.exec("sh", "-c", show, environment=self._path)
        if output.code or not output.out:
            raise StackError(f"there is no Python in {self.name} to look at the site with")
        return output.out.strip()

    @property
    def _beside_uwsgi(self) -> str:
        """The user for probes that use the socket; a vassal's socket is only for the vassal's user."""
        return str(self.identity) if self.vassal and self.vassal.master else ""

    def waiting(self, address: Address) -> list[int]:
        """Return how many connections wait at a socket, and the limit; empty if that cannot be found out."""
        command = (self._python, "-c", probes.source("backlog.py"), json.dumps(address))
        found: list[int] = json.loads(self.exec(*command, user=self._beside_uwsgi).out)
        return found

    def ask(self, address: Address, function: str, *arguments: object) -> Any:
        """
        Call ``whichhop.probes.uwsgi_protocol`` beside uWSGI, at a socket, and return the result.

        Raise ``StackError`` with the reason if there is no answer.
        """
        return self.stack.uwsgi(
            function,
            address,
            *arguments,
            service=self.name,
            python=self._python,
            user=self._beside_uwsgi,
            environment=self._path,
        )

    # -- the site

    @property
    def report(self) -> SiteReport:
        """The probe's report on the site; raise ``StackError`` if there is none."""
        if isinstance(self._report, str):
            raise StackError(self._report)
        return self._report

    @cached_property
    def log_beginning(self) -> str:
        """A regular expression for the start of uWSGI's log lines."""
        try:
            return uwsgi_log.beginning(known(self.report.uwsgi).options)
        except StackError:
            return uwsgi_log.USUAL

    @cached_property
    def _report(self) -> SiteReport | str:
        """The report, or why there is none; cached, so that the probe runs only once."""
        try:
            worker = workers(self.processes, self.uwsgi)[0]
            attributes = self.attributes
            command = [attributes["Path"], *attributes["Args"]]
            workdir = attributes["Config"]["WorkingDir"]
            if self.vassal:
                command, workdir = ["uwsgi", "--ini", self.vassal.name], self.vassal.directory
            call = {
                "host": self._host(),
                "pid": self.uwsgi.pid,
                "program": worker.program,
                "directory": worker.directory,
                "command": command,
                "workdir": workdir,
            }
            output = self.exec(
                *(self._python, "-c", probes.source("site.py"), json.dumps(call)),
                user=str(self.identity),
                environment=self.environment,
            )
        except StackError as error:
            return str(error)
        if output.code == 128 + signal.SIGKILL:
            return (
                f"{self.name} has not enough memory left to load the site once more, to look at it"
            )
        if output.code == 128 + signal.SIGALRM:
            return f"the site did not load and answer by itself within {site_probe.SECONDS} s"
        if output.code:
            return output.err.strip() or f"exit status {output.code}"
        return SiteReport.of(json.loads(output.out))
