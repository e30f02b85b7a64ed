"""
The site behind the chain, as far as it can be seen: what the hops judge, looked up once.

Nothing here judges. What cannot be seen raises ``StackError``, and the hop then says so.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from whichhop import probes
from whichhop.target import nginx_config, uwsgi_log
from whichhop.target.back import Back
from whichhop.target.front import Front
from whichhop.target.stack import Stack, StackError

# The hop tls judges the certificate; asking for a page must work with any.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

TIMEOUT = 3  # seconds for an answer of a healthy stack

# What Django raises when the fault is the database's: django.db.utils.
DATABASE_ERRORS = {"OperationalError", "ProgrammingError", "DatabaseError"}

# An address for which nginx asks nobody: it exists in no site.
NOWHERE = "/static/doctor-asks-for-nothing"


class ByName(HTTPAdapter):
    """TLS connections in the name of a host, whatever address they go to."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, server_hostname=self.host, **options)


class Site(Front, Back):
    """One site of a stack under diagnosis: a server block of nginx and the app behind it."""

    name = ""  # its host, where nginx serves several
    is_first = True  # of the project's sites: what is of all of them is said once

    def __init__(self, stack: Stack, nginx: str, app: str, init: str = "", number: int = 0) -> None:
        super().__init__(stack, nginx, app, init)
        self.number = number
        self.silent = False

    @cached_property
    def client(self) -> requests.Session:
        """What asks nginx; it says the site's name in the TLS handshake, too, as a browser does."""
        client = requests.Session()
        client.trust_env = False  # a proxy for the internet has no part in this chain
        client.verify = False
        # As a browser's begins: some refuse what calls itself python.
        client.headers["User-Agent"] = "Mozilla/5.0 (compatible; doctor)"
        client.mount("https://", ByName(self.host))
        return client

    @property
    def fixes(self) -> Mapping[str, str]:
        """The fixes that the project declares, by cause."""
        return self.declaration.fixes

    @cached_property
    def words(self) -> dict[str, object]:
        """The names of the services, and how this project migrates and collects static files."""
        manage = f"docker compose exec {self.app} python3 manage.py"
        names = {
            "nginx": self.nginx,
            "app": self.app,
            "init": self.init,
            "vassal": self.vassal.name if self.vassal else "",
        }
        general = {
            "ini": self.vassal.file if self.vassal else "uWSGI's ini file",
            "publish": f"touch {self.vassal.file}" if self.vassal else "",
            "migrate": f"{manage} migrate",
            "collect": f"{manage} collectstatic --no-input",
            "recollect": f"{manage} collectstatic --no-input --clear",
        }
        declared = {name: text.format(**names) for name, text in self.declaration.words.items()}
        return {**names, **general, **declared}

    @cached_property
    def host(self) -> str:
        """
        The host that a visitor asks for: the one that the project declares, the first plain
        server_name, or else the first of ALLOWED_HOSTS; ``localhost`` where all of them take any.
        """
        if named := self.named_host:
            return named
        try:
            return str(self.report("settings")["host"])
        except StackError:
            return "localhost"

    @property
    def named_host(self) -> str:
        """The host as nginx knows it, empty when it takes any."""
        if url := self.declared_url:
            return urlsplit(url).hostname or ""
        with contextlib.suppress(StackError):
            names = nginx_config.host_names(self.server)
            return next((name for name in names if name != "localhost"), "")
        return ""

    @cached_property
    def host_header(self) -> str:
        """``host`` with the port, as a browser sends it: without the scheme's own."""
        if url := self.declared_url:
            return urlsplit(url).netloc
        try:
            door = self.door
        except StackError:
            return self.host
        usual = 443 if door.url.startswith("https:") else 80
        if self.behind_tls:
            return self.host  # the port here is between nginx and what does TLS
        return self.host if door.port in (usual, 0) else f"{self.host}:{door.port}"

    @cached_property
    def behind_tls(self) -> bool:
        """
        Whether something in front of nginx does TLS: the declared address says so, or the site's settings,
        which trust a proxy's word about the scheme, or forms that come from https.
        """
        if self.declared_url:
            return self.declared_url.startswith("https:")
        if any(listen.tls for listen in self.listens):
            return False
        try:
            settings = self.report("settings")
        except StackError:
            return False
        origins = settings["CSRF_TRUSTED_ORIGINS"] or []
        trusted = any(origin.startswith("https://") for origin in origins)
        return bool(settings["SECURE_PROXY_SSL_HEADER"]) or trusted

    def get(self, path: str, **headers: str) -> requests.Response:
        """
        Ask nginx, through the published port and for the site's host; follow no redirect.

        Raise ``requests.Timeout`` after ``TIMEOUT`` seconds. Once ``NOWHERE`` was not answered, for
        which nginx needs nobody else, or no worker is free, it is raised at once: one hop that waits
        is enough.
        """
        if self.silent:
            raise requests.Timeout("it was asked before, and did not answer")
        try:
            return self._send("GET", path, headers, TIMEOUT)
        except requests.Timeout:
            self.silent = path == NOWHERE
            raise

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> requests.Response:
        """Send a form as ``get`` asks; raise ``requests.Timeout`` after 5 seconds."""
        return self._send("POST", path, headers, 5, form)

    def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        timeout: float,
        form: Mapping[str, str] | None = None,
    ) -> requests.Response:
        # What a proxy that does TLS tells nginx, where one is in front of it.
        proxy = {"X-Forwarded-Proto": "https"} if self.behind_tls else {}
        return self.client.request(
            method,
            self.door.url + path,
            data=form,
            headers={"Host": self.host_header, **proxy, **headers},
            timeout=timeout,
            allow_redirects=False,
        )

    @property
    def socket(self) -> str | tuple[str, int]:
        """
        The address of uWSGI as its own container sees it: a path, or host and port.

        While nginx cannot be asked, the one that uWSGI's own log names. Raise ``StackError`` when
        the two containers have no place in common there.
        """
        try:
            known = self.upstream
        except StackError:
            return self._own_socket
        if not known.path:
            return (next(iter(self.stack.ip_addresses(self.app)), "127.0.0.1"), known.port)
        path = self.stack.same_place(known.path, self.nginx, self.app)
        if path is None:
            raise StackError(f"{self.app} shares no volume with {self.nginx} at {known.path}")
        return path

    @property
    def _own_socket(self) -> str | tuple[str, int]:
        lines = self.last_lines(self.app, rf"{uwsgi_log.USUAL}uwsgi socket \d+ bound to ", 9)
        for line in lines:
            if found := re.search(r"bound to UNIX address (\S+)", line):
                return found[1]
            if found := re.search(r"bound to TCP address \S*:(\d+)", line):
                return ("127.0.0.1", int(found[1]))
        raise StackError("neither nginx nor uWSGI's log says where the socket is")

    @property
    def straight(self) -> Any:
        """The answer of uWSGI to a request without nginx, asked once; ``StackError`` with none."""
        if isinstance(self._straight, StackError):
            raise self._straight
        return self._straight

    @cached_property
    def _straight(self) -> Any:
        try:
            return self.ask_uwsgi("request", {"HTTP_HOST": self.host_header}, "", TIMEOUT)
        except StackError as error:
            return error

    def crowd(self) -> list[str]:
        """
        Return what keeps requests waiting, in words: the socket's queue, and what each worker does.

        The second comes from uWSGI's stats, where they are switched on; empty when nobody can tell.
        """
        said = []
        with contextlib.suppress(StackError, ValueError):
            command = (self.python, "-c", probes.source("backlog.py"))
            address = json.dumps(self.socket)
            waiting = self.stack.exec(self.app, *command, address, user=self.beside_uwsgi).out
            numbers = [str(number) for number in json.loads(waiting)]
            said += [f"{' of '.join(numbers)} waiting at the socket"] if numbers else []
        with contextlib.suppress(StackError):
            options = self.report("uwsgi")["options"]
            for address in options.get("stats", options.get("stats-server", []))[:1]:
                host, _, port = address.rpartition(":")
                tcp = (host or "127.0.0.1", int(port)) if port.isdigit() else None
                said += self.ask_uwsgi("stats", TIMEOUT, at=tcp or address)
        return said

    def ask_uwsgi(
        self, function: str, *arguments: object, at: str | tuple[str, int] | None = None
    ) -> Any:
        """
        Call ``whichhop.probes.uwsgi_protocol`` beside uWSGI, at its own ``socket``, and return the result.

        Raise ``StackError`` with the reason when nobody answers.
        """
        return self.stack.uwsgi(
            function,
            at or self.socket,
            *arguments,
            service=self.app,
            python=self.python,
            user=self.beside_uwsgi,
            environment=self.path_variable,
        )
