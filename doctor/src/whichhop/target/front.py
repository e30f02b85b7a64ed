"""
nginx and its configuration, as far as a hop has to know it: looked up once.

Nothing here judges. What cannot be seen raises ``StackError``, and the hop then says so.
"""

import contextlib
import itertools
import re
from functools import cached_property
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from whichhop.target import nginx_config, nginx_log, upstream
from whichhop.target.containers import Containers, jobs
from whichhop.target.nginx_config import Directive, Listen
from whichhop.target.processes import Identity, Process, masters, workers
from whichhop.target.stack import Output, StackError
from whichhop.target.upstream import Upstream

# How nginx says that it does not start.
REFUSED = r"\[emerg\]|\[crit\].* pread\(\)"

FILE_BYTES = 65536  # of the end of a log file that is read


class NoSite(StackError):
    """nginx passes no request to anybody."""


class Place(NamedTuple):
    """What is at a path: its kind as stat names it ("socket", "directory", …), mode and owner."""

    kind: str
    mode: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"mode {self.mode:04o}, owner {self.uid}:{self.gid}"


class Door(NamedTuple):
    """Where nginx can be asked from this machine: a published port, and what is behind it."""

    url: str  # e.g. http://127.0.0.1:8000
    port: int  # on this machine
    inside: int  # in nginx's container


class Published(NamedTuple):
    """A port of nginx's container, and where it is published on this machine."""

    inside: int
    host: str  # an address; empty for all of them
    outside: int


class Front(Containers):
    """The front of a site: one server block of nginx, and the container that it runs in."""

    number = 0  # of the server block, among those that pass requests on

    @cached_property
    def config(self) -> Directive:
        """The configuration on nginx's disk; raise ``StackError`` when nginx refuses it."""
        try:
            return nginx_config.parse(self.stack.run(self.nginx, "nginx", "-T", *self._told))
        except ValueError as error:
            raise StackError(str(error)) from None

    @property
    def _told(self) -> list[str]:
        """Which configuration, under which prefix, nginx was told to take: its options -c and -p."""
        for master in masters(self.nginx_processes, "nginx"):
            words = master.command.split()
            pairs = itertools.pairwise(words)
            return [word for pair in pairs if pair[0] in ("-c", "-p") for word in pair]
        return []

    @property
    def refusal(self) -> tuple[str, ...]:
        """
        The lines with which nginx refuses to start; empty when it runs, or ended otherwise.

        They may be of a job before it, which lets nginx judge the configuration.
        """
        state = self.state(self.nginx)
        if state.keeps_ending:
            return self.last_lines(self.nginx, REFUSED)
        if state.status == "created":
            for service in self.nginx_waits_for:
                if self.state(service).exit_code and (lines := self.last_lines(service, REFUSED)):
                    return lines
        return ()

    @cached_property
    def nginx_build(self) -> str:
        """What nginx was built with: the output of ``nginx -V``."""
        return self.stack.exec(self.nginx, "nginx", "-V").err

    @cached_property
    def temporary_paths(self) -> list[str]:
        """Where nginx keeps large bodies of this site, of visitors and of the app, until they are sent on."""
        protocol = "proxy" if self.upstream.protocol == "http" else self.upstream.protocol
        paths = []
        for name in ("client_body_temp_path", f"{protocol}_temp_path"):
            if setting := self.server.get(name):
                paths.append(setting.words[1].rstrip("/"))
            elif default := re.search(rf"--http-{name.replace('_', '-')}=(\S+)", self.nginx_build):
                paths.append(default[1].rstrip("/"))
        return paths

    @cached_property
    def servers(self) -> list[tuple[Directive, Upstream]]:
        """The server blocks that pass requests on, each with where to; ``NoSite`` with none."""
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

    @property
    def server(self) -> Directive:
        """The server block of this site; raise ``StackError`` with none."""
        return self.servers[self.number][0]

    @property
    def upstream(self) -> Upstream:
        """Where that passes requests to; raise ``StackError`` with none."""
        return self.servers[self.number][1]

    @cached_property
    def nginx_processes(self) -> list[Process]:
        """The processes of nginx's container."""
        return self.stack.processes(self.nginx)

    @cached_property
    def nginx_identity(self) -> Identity:
        """The rights of nginx's workers, which are the ones that connect and read files."""
        for master in masters(self.nginx_processes, "nginx"):
            return workers(self.nginx_processes, master)[0].identity
        raise StackError("no nginx process runs in its container")

    @cached_property
    def is_nginx(self) -> bool:
        """Whether an nginx runs in its container, whatever it calls itself in its answers."""
        return bool(masters(self.nginx_processes, "nginx"))

    def log_files(self, service: str, since: float) -> list[str]:
        """Return the lines of nginx's error log files, those that are files, since a time."""
        try:
            config = self.config if service == self.nginx else None
        except StackError:
            config = None  # it cannot be asked
        files = [
            directive.words[1]
            for directive in (config.find("error_log") if config else ())
            if directive.words[1].startswith("/") and not directive.words[1].startswith("/dev/")
        ]
        if not files:
            return []
        first = self.stack.exec(
            self.nginx, "date", "-d", f"@{since:.0f}", "+%Y/%m/%d %H:%M:%S"
        ).out.strip()
        found = []
        for file in files:
            show = f'[ -L "$1" ] || tail -c {FILE_BYTES} "$1"'
            text = self.stack.exec(self.nginx, "sh", "-c", show, "sh", file).out
            lines = [(0.0, line) for line in text.split("\n")]
            cut = len(text.encode()) >= FILE_BYTES
            found += [
                line
                for line in nginx_log.believed(lines, cut)
                if line[:4].isdigit() and line >= first
            ]
        return found

    @cached_property
    def listens(self) -> list[Listen]:
        """The ports on which this site's server block listens; empty when it cannot be read."""
        try:
            return nginx_config.listens(self.server)
        except StackError:
            return []

    @cached_property
    def all_ports(self) -> set[int]:
        """The ports on which any server block of nginx listens."""
        servers = nginx_config.servers(self.config)
        return {listen.port for server in servers for listen in nginx_config.listens(server)}

    @cached_property
    def declared_url(self) -> str:
        """
        The first address that visitors use, by the variable that the project declares to hold it; empty
        without one, and for another site behind the same nginx.
        """
        if not (variable := self.declaration.address_variable):
            return ""
        environment: list[str] = []
        for service in (self.nginx, *jobs(self.stack.definition["services"], self.nginx)):
            with contextlib.suppress(StackError):
                environment += self.stack.container(service).attrs["Config"]["Env"]
        urls = [item.partition("=")[2] for item in environment if item.startswith(f"{variable}=")]
        url = str(urls[0]).split(",")[0] if urls else ""
        with contextlib.suppress(StackError):
            names = nginx_config.host_names(self.server)
            if names and (urlsplit(url).hostname or "") not in names:
                return ""
        return url

    @cached_property
    def published(self) -> list[Published]:
        """The ports of nginx's container that this machine has, its own network's included."""
        attributes = self.stack.container(self.nginx).attrs
        if attributes["HostConfig"]["NetworkMode"] == "host":
            return [Published(listen.port, "", listen.port) for listen in self.listens]
        return [
            Published(int(inside.partition("/")[0]), item["HostIp"], int(item["HostPort"]))
            for inside, items in (attributes["NetworkSettings"]["Ports"] or {}).items()
            for item in items or []
            if inside.endswith("/tcp")
        ]

    @cached_property
    def door(self) -> Door:
        """
        Where to ask for this site: the published port that leads to a port of its server block.

        TLS first, if it does that. A port that leads elsewhere comes after those. Where nginx has
        the machine's own network, that is its port. Where nothing is published, its own address.
        """
        if not self.published:
            return self._own_door()
        tls = {listen.port: listen.tls for listen in self.listens}
        # https for what listens with TLS; for a port of another server block, its own way.
        port, host, outside = min(
            self.published,
            key=lambda p: (p.inside not in tls, not tls.get(p.inside), ":" in p.host),
        )
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        scheme = "https" if tls.get(port) else "http"
        netloc = f"[{host}]:{outside}" if ":" in host else f"{host}:{outside}"
        return Door(f"{scheme}://{netloc}", outside, port)

    def _own_door(self) -> Door:
        """nginx's own address in its network, which a Linux machine can reach, with port 0."""
        addresses = self.stack.ip_addresses(self.nginx)
        if not addresses or not self.listens:
            raise StackError(f"{self.nginx} has no published port through which it could be asked")
        listen = self.listens[0]
        scheme = "https" if listen.tls else "http"
        return Door(f"{scheme}://{addresses[0]}:{listen.port}", 0, listen.port)

    @property
    def behind_another(self) -> str:
        """Who seems to take requests for an nginx that publishes no port; empty when nobody does."""
        definition = self.stack.definition
        for name, service in definition["services"].items():
            if name != self.nginx and service.get("ports"):
                return f"the service {name}"
        for name in definition["services"][self.nginx].get("networks") or {}:
            if (definition.get("networks", {}).get(name) or {}).get("external"):
                return f"somebody in the network {name}"
        return ""

    def as_nginx(self, *command: str) -> Output:
        """Run a command in nginx's container with the rights of nginx's workers."""
        return self.stack.exec_as(self.nginx, self.nginx_identity, *command)

    def look_along(self, path: str) -> dict[str, Place]:
        """Return what is at a path in nginx's container and at each directory above it, from /."""
        along = [*reversed(PurePosixPath(path).parents), PurePosixPath(path)]
        command = ("stat", "-L", "-c", "%n|%F|%a|%u|%g", *map(str, along))
        seen = self.stack.exec(self.nginx, *command, user="0", privileged=True)
        if not seen.out.startswith("/|"):  # there is always a root: the engine lost the answer
            seen = self.stack.exec(self.nginx, *command, user="0", privileged=True)
        if not seen.out.startswith("/|"):
            raise StackError(
                f"what is at {path} in {self.nginx} cannot be seen: {seen.err.strip()}"
            )
        found = {}
        for line in seen.out.splitlines():
            place, kind, mode, uid, gid = line.rsplit("|", 4)
            found[place] = Place(kind, int(mode, 8), int(uid), int(gid))
        return found

    def denied(self, right: str, path: str) -> tuple[str, Place] | None:
        """
        Return what denies nginx's workers a right ("r", "w" or "x") to a path, by its mode and owner.

        A directory on the way that they may not enter comes before the path itself.
        """
        who = self.nginx_identity
        for place, found in self.look_along(path).items():
            needed = right if place == path else "x"
            if not who.may(needed, found.mode, found.uid, found.gid):
                return place, found
        return None

    def why_not(self, right: str, path: str) -> dict[str, str]:
        """
        Return ``denied`` as words for a cause: the workers' ``identity``, the ``path`` at fault, and
        its mode and owner as ``blame``; raise ``StackError`` when no mode or owner denies it.
        """
        denied = self.denied(right, path)
        if denied is None:
            raise StackError(f"nginx may not use {path}, though every mode on the way allows it")
        place, found = denied
        return {"identity": str(self.nginx_identity), "path": place, "blame": str(found)}
