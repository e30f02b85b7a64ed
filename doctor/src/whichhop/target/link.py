"""
The link between nginx and uWSGI: the server block that passes requests on, and the socket that receives them.

Nothing here draws conclusions. What cannot be seen raises ``StackError``, which the hop then reports.
"""

import contextlib
import re
from functools import cached_property
from typing import Any

from whichhop.target import nginx_config, uwsgi_log
from whichhop.target.app_service import Address, AppService
from whichhop.target.nginx_config import Directive, Listen
from whichhop.target.nginx_service import NginxService
from whichhop.target.site_report import known
from whichhop.target.stack import StackError
from whichhop.target.upstream import Upstream


class Link:
    """One server block of nginx, by its number among those that pass requests on, and its upstream."""

    def __init__(self, nginx: NginxService, app: AppService, number: int) -> None:
        self._nginx, self._app, self._number = nginx, app, number

    # -- nginx's side

    @property
    def server(self) -> Directive:
        """The server block; raise ``StackError`` if there is none."""
        return self._nginx.servers[self._number][0]

    @property
    def upstream(self) -> Upstream:
        """The address to which it passes requests; raise ``StackError`` if there is none."""
        return self._nginx.servers[self._number][1]

    @cached_property
    def listens(self) -> list[Listen]:
        """The ports on which it listens; empty if it cannot be read."""
        try:
            return nginx_config.listens(self.server)
        except StackError:
            return []

    @cached_property
    def temporary_paths(self) -> list[str]:
        """The directories in which nginx buffers large bodies, of visitors and of the app."""
        protocol = "proxy" if self.upstream.protocol == "http" else self.upstream.protocol
        paths = []
        for name in ("client_body_temp_path", f"{protocol}_temp_path"):
            if setting := self.server.get(name):
                paths.append(setting.words[1].rstrip("/"))
            elif default := re.search(rf"--http-{name.replace('_', '-')}=(\S+)", self._nginx.build):
                paths.append(default[1].rstrip("/"))
        return paths

    # -- uWSGI's side

    @property
    def address(self) -> Address:
        """
        The address of uWSGI as its own container sees it: a path, or host and port.

        If nginx's configuration cannot be read, the address in uWSGI's own log. Raise ``StackError`` if
        the two containers share no volume or directory there.
        """
        nginx, app = self._nginx, self._app
        try:
            passed = self.upstream
        except StackError:
            return self._logged_address
        if not passed.path:
            return (next(iter(app.stack.ip_addresses(app.name)), "127.0.0.1"), passed.port)
        path = app.stack.same_place(passed.path, nginx.name, app.name)
        if path is None:
            raise StackError(f"{app} shares no volume with {nginx} at {passed.path}")
        return path

    @property
    def _logged_address(self) -> Address:
        for line in self._app.last_lines(rf"{uwsgi_log.USUAL}uwsgi socket \d+ bound to ", 9):
            if found := re.search(r"bound to UNIX address (\S+)", line):
                return found[1]
            if found := re.search(r"bound to TCP address \S*:(\d+)", line):
                return ("127.0.0.1", int(found[1]))
        raise StackError("neither nginx nor uWSGI's log says where the socket is")

    def ask(self, function: str, *arguments: object) -> Any:
        """Call uWSGI at its socket, as ``AppService.ask`` does; raise ``StackError`` without an answer."""
        return self._app.ask(self.address, function, *arguments)

    def queue(self, timeout: float) -> list[str]:
        """
        Return the listen-queue report: how full the socket's queue is, and what each worker does.

        The latter comes from uWSGI's stats server, if it is enabled. Empty if neither can be found out.
        """
        said = []
        with contextlib.suppress(StackError, ValueError):
            numbers = [str(number) for number in self._app.waiting(self.address)]
            said += [f"{' of '.join(numbers)} waiting at the socket"] if numbers else []
        with contextlib.suppress(StackError):
            options = known(self._app.report.uwsgi).options
            for address in options.get("stats", options.get("stats-server", []))[:1]:
                host, _, port = address.rpartition(":")
                tcp = (host or "127.0.0.1", int(port)) if port.isdigit() else None
                said += self._app.ask(tcp or address, "stats", timeout)
        return said
