"""
The service with nginx: its configuration, its ports, and the rights of its workers, each looked up once.

Nothing here draws conclusions. What cannot be seen raises ``StackError``, which the hop then reports.
"""

import itertools
from functools import cached_property
from typing import NamedTuple

from whichhop.target import nginx_config, nginx_log, upstream
from whichhop.target.files import Files
from whichhop.target.nginx_config import Directive
from whichhop.target.processes import Identity, Process, masters, workers
from whichhop.target.service import Service
from whichhop.target.stack import LOG_LINES, Output, StackError
from whichhop.target.upstream import Upstream

# nginx's log lines when it does not start.
REFUSED = r"\[emerg\]|\[crit\].* pread\(\)"

FILE_BYTES = 65536  # how much is read from the end of a log file


class NoSite(StackError):
    """nginx passes no requests on."""


class Published(NamedTuple):
    """A port of nginx's container, and the address at which it is published on this machine."""

    inside: int
    host: str  # an address; empty for all of them
    outside: int


class NginxService(Service):
    """The service with nginx."""

    # -- the configuration

    @cached_property
    def config(self) -> Directive:
        """The configuration on nginx's disk; raise ``StackError`` if nginx refuses it."""
        show = ("sh", "-c", 'nginx -T "$@" && echo "# the end"', "nginx", *self._told)
        text = self.stack.run(self.name, *show)
        if not text.endswith("# the end\n"):  # the engine lost a part of the answer
            text = self.stack.run(self.name, *show)
        try:
            return nginx_config.parse(text)
        except ValueError as error:
            raise StackError(str(error)) from None

    @property
    def _told(self) -> list[str]:
        """nginx's options -c and -p: its configuration file and prefix."""
        for master in masters(self._processes, "nginx"):
            words = master.command.split()
            pairs = itertools.pairwise(words)
            return [word for pair in pairs if pair[0] in ("-c", "-p") for word in pair]
        return []

    @cached_property
    def build(self) -> str:
        """nginx's build options: the output of ``nginx -V``."""
        return self.exec("nginx", "-V").err

    @cached_property
    def servers(self) -> list[tuple[Directive, Upstream]]:
        """The server blocks that pass requests on, each with its upstream; raise ``NoSite`` if there is none."""
        found, unknown = [], ""
        for server in nginx_config.servers(self.config):
            try:
                found.append((server, upstream.of(server, self.config)))
            except ValueError:
                continue  # it answers by itself
            except LookupError as error:
                unknown = str(error)
        if not found and unknown:
            raise StackError(unknown)
        if not found:
            raise NoSite("no server block of nginx passes requests on (uwsgi_pass)")
        return found

    # -- the container

    @property
    def waits_for(self) -> list[str]:
        """The services that must start or complete before it, in order."""
        services = self.stack.definition["services"]
        found: list[str] = []
        wanted = [self.name]
        while wanted:
            before = services[wanted.pop()].get("depends_on") or {}
            wanted += [name for name in before if name not in found]
            found[:0] = before
        return list(dict.fromkeys(found))

    @property
    def refusal(self) -> tuple[str, ...]:
        """
        The log lines with which nginx refuses to start; empty if it runs, or ended for another reason.

        They may come from an earlier job, in which nginx tests the configuration.
        """
        state = self.state
        if state.keeps_ending:
            return self.last_lines(REFUSED)
        if state.status == "created":
            for service in (Service(self.stack, name) for name in self.waits_for):
                if service.state.exit_code and (lines := service.last_lines(REFUSED)):
                    return lines
        return ()

    @cached_property
    def ports(self) -> dict[int, bool]:
        """
        The ports on which nginx's server blocks listen, and whether other containers can reach them.

        Empty if its configuration cannot be read.
        """
        found: dict[int, bool] = {}
        own_network = self.attributes["HostConfig"]["NetworkMode"] != "host"
        try:
            servers = nginx_config.servers(self.config)
        except StackError:
            return found
        for server in servers:
            for listen in nginx_config.listens(server):
                reachable = not (own_network and listen.local)
                found[listen.port] = found.get(listen.port, False) or reachable
        return found

    @cached_property
    def published(self) -> list[Published]:
        """The ports of its container on this machine, also those of ``network_mode: host``."""
        attributes = self.attributes
        if attributes["HostConfig"]["NetworkMode"] == "host":
            return [Published(port, "", port) for port in sorted(self.ports)]
        return [
            Published(int(inside.partition("/")[0]), item["HostIp"], int(item["HostPort"]))
            for inside, items in (attributes["NetworkSettings"]["Ports"] or {}).items()
            for item in items or []
            if inside.endswith("/tcp")
        ]

    @property
    def behind(self) -> str:
        """The service that seems to accept requests for an nginx without a published port; "" if none does."""
        definition = self.stack.definition
        for name, service in definition["services"].items():
            if name != self.name and service.get("ports"):
                return f"the service {name}"
        for name in definition["services"][self.name].get("networks") or {}:
            if (definition.get("networks", {}).get(name) or {}).get("external"):
                return f"somebody in the network {name}"
        return ""

    # -- its workers

    @cached_property
    def _processes(self) -> list[Process]:
        return self.stack.processes(self.name)

    @cached_property
    def runs_nginx(self) -> bool:
        """Whether nginx runs in its container, whatever its Server header says."""
        return bool(masters(self._processes, "nginx"))

    @cached_property
    def identity(self) -> Identity:
        """The rights of nginx's workers, which connect to the app and read files."""
        for master in masters(self._processes, "nginx"):
            return workers(self._processes, master)[0].identity
        raise StackError("no nginx process runs in its container")

    def as_worker(self, *command: str) -> Output:
        """Run a command in its container with the rights of nginx's workers."""
        return self.stack.exec_as(self.name, self.identity, *command)

    @cached_property
    def files(self) -> Files:
        """The files of its container, and its workers' access to them."""
        return Files(self.name, self.exec, self.identity)

    # -- its log, without the lines that a client can have written

    def _lines(self, since: float) -> list[str]:
        found = []
        for stream in ("stdout", "stderr"):
            lines = self.stack.dated_log(self.name, stream, since or None)
            found += nginx_log.believed(lines, cut=len(lines) >= LOG_LINES)
        return found

    def _lines_of_files(self, since: float) -> list[str]:
        try:
            config: Directive | None = self.config
        except StackError:
            config = None  # it cannot be read
        files = [
            directive.words[1]
            for directive in (config.find("error_log") if config else ())
            if directive.words[1].startswith("/") and not directive.words[1].startswith("/dev/")
        ]
        if not files:
            return []
        first = self.exec("date", "-d", f"@{since:.0f}", "+%Y/%m/%d %H:%M:%S").out.strip()
        found = []
        for file in files:
            show = f'[ -L "$1" ] || tail -c {FILE_BYTES} "$1"'
            text = self.exec("sh", "-c", show, "sh", file).out
            lines = [(0.0, line) for line in text.split("\n")]
            cut = len(text.encode()) >= FILE_BYTES
            found += [
                line
                for line in nginx_log.believed(lines, cut)
                if line[:4].isdigit() and line >= first
            ]
        return found
