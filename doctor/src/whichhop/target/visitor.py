"""
A visitor of a site on this machine: where nginx is reachable, for which host, and what it answers.

Nothing here draws conclusions. What cannot be seen raises ``StackError``, which the hop then reports.
"""

import contextlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from whichhop.target import nginx_config
from whichhop.target.app_service import AppService
from whichhop.target.declaration import Declaration
from whichhop.target.link import Link
from whichhop.target.nginx_service import NginxService
from whichhop.target.service import jobs
from whichhop.target.site_report import known
from whichhop.target.stack import StackError

# Hop tls checks the certificate; requests for pages must work with any.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

TIMEOUT = 3  # seconds; a healthy stack answers sooner

# A path that nginx answers by itself: it exists in no site.
NOWHERE = "/static/doctor-asks-for-nothing"


class Endpoint(NamedTuple):
    """Where this machine can reach nginx: a published port, and the port behind it."""

    url: str  # e.g. http://127.0.0.1:8000
    port: int  # on this machine; 0 if it is not published
    inside: int  # in nginx's container


class ByName(HTTPAdapter):
    """TLS connections that use a host name, whatever address they go to."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, server_hostname=self.host, **options)


class Visitor:
    """A client that requests a site by its name, as a browser on this machine does."""

    def __init__(
        self, nginx: NginxService, app: AppService, link: Link, declaration: Declaration
    ) -> None:
        self._nginx, self._app, self._link, self._declaration = nginx, app, link, declaration
        self.silent = False  # nothing answers: do not wait again

    # -- where to, and for whom

    @cached_property
    def endpoint(self) -> Endpoint:
        """
        Where to request this site: the published port that leads to a port of its server block.

        TLS ports come first, ports that lead elsewhere last. If nginx uses the machine's network, its own
        port; if no port is published, its container's address.
        """
        listens = self._link.listens
        if not self._nginx.published:
            addresses = self._nginx.stack.ip_addresses(self._nginx.name)
            if not addresses or not listens:
                raise StackError(
                    f"{self._nginx} has no published port through which it could be asked"
                )
            scheme = "https" if listens[0].tls else "http"
            return Endpoint(f"{scheme}://{addresses[0]}:{listens[0].port}", 0, listens[0].port)
        tls = {listen.port: listen.tls for listen in listens}
        # Ports of this server block first, of these the ones with TLS; IPv4 before IPv6.
        port, host, outside = min(
            self._nginx.published,
            key=lambda p: (p.inside not in tls, not tls.get(p.inside), ":" in p.host),
        )
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        scheme = "https" if tls.get(port) else "http"
        netloc = f"[{host}]:{outside}" if ":" in host else f"{host}:{outside}"
        return Endpoint(f"{scheme}://{netloc}", outside, port)

    @cached_property
    def _declared_url(self) -> str:
        """
        The first public URL, from the variable that the project declares for it; "" without one,
        and for another site behind the same nginx.
        """
        if not (variable := self._declaration.address_variable):
            return ""
        stack, environment = self._nginx.stack, list[str]()
        for service in (self._nginx.name, *jobs(stack.definition["services"], self._nginx.name)):
            with contextlib.suppress(StackError):
                environment += stack.container(service).attrs["Config"]["Env"]
        urls = [item.partition("=")[2] for item in environment if item.startswith(f"{variable}=")]
        url = str(urls[0]).split(",")[0] if urls else ""
        with contextlib.suppress(StackError):
            names = nginx_config.host_names(self._link.server)
            if names and (urlsplit(url).hostname or "") not in names:
                return ""
        return url

    @property
    def is_declared(self) -> bool:
        """Whether this is the site to which the project's declaration applies."""
        return bool(self._declared_url) or not self._declaration.address_variable

    @property
    def named_host(self) -> str:
        """The host name in nginx's configuration; "" if it accepts any."""
        if url := self._declared_url:
            return urlsplit(url).hostname or ""
        with contextlib.suppress(StackError):
            names = nginx_config.host_names(self._link.server)
            return next((name for name in names if name != "localhost"), "")
        return ""

    @cached_property
    def host(self) -> str:
        """
        The host that a visitor requests: the one that the project declares, the first plain
        server_name, or else the first of ALLOWED_HOSTS; ``localhost`` if all of them accept any.
        """
        if named := self.named_host:
            return named
        try:
            return known(self._app.report.settings).host
        except StackError:
            return "localhost"

    @cached_property
    def host_header(self) -> str:
        """``host`` with the port, as browsers send it: without the scheme's default port."""
        if url := self._declared_url:
            return urlsplit(url).netloc
        try:
            endpoint = self.endpoint
        except StackError:
            return self.host
        usual = 443 if endpoint.url.startswith("https:") else 80
        if self.behind_tls:
            return self.host  # this port is between nginx and the TLS proxy
        return self.host if endpoint.port in (usual, 0) else f"{self.host}:{endpoint.port}"

    @cached_property
    def behind_tls(self) -> bool:
        """
        Whether something in front of nginx terminates TLS: according to the declared URL, or to the site's
        settings, if they trust a proxy's header for the scheme, or https origins for forms.
        """
        if self._declared_url:
            return self._declared_url.startswith("https:")
        if any(listen.tls for listen in self._link.listens):
            return False
        try:
            settings = known(self._app.report.settings)
        except StackError:
            return False
        origins = settings.csrf_trusted_origins or []
        trusted = any(origin.startswith("https://") for origin in origins)
        return bool(settings.secure_proxy_ssl_header) or trusted

    # -- requests

    @cached_property
    def _session(self) -> requests.Session:
        """The HTTP session; it sends the site's name in the TLS handshake, too, as browsers do."""
        session = requests.Session()
        session.trust_env = False  # a proxy for internet access is not part of this chain
        session.verify = False
        # Like a browser's: some sites refuse clients that call themselves python.
        session.headers["User-Agent"] = "Mozilla/5.0 (compatible; doctor)"
        session.mount("https://", ByName(self.host))
        return session

    def get(self, path: str, **headers: str) -> requests.Response:
        """
        Send a request to nginx, through the published port, for the site's host; do not follow redirects.

        Raise ``requests.Timeout`` after ``TIMEOUT`` seconds. Raise it at once if ``NOWHERE``, which nginx
        answers by itself, got no answer before, or no worker is free: it is enough if one hop waits.
        """
        if self.silent:
            raise requests.Timeout("it was asked before, and did not answer")
        try:
            return self._send("GET", path, headers, TIMEOUT)
        except requests.Timeout:
            self.silent = path == NOWHERE
            raise

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> requests.Response:
        """Send a form in the same way as ``get``; raise ``requests.Timeout`` after 5 seconds."""
        return self._send("POST", path, headers, 5, form)

    def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        timeout: float,
        form: Mapping[str, str] | None = None,
    ) -> requests.Response:
        # The headers that a TLS proxy in front of nginx would add.
        proxy = {"X-Forwarded-Proto": "https"} if self.behind_tls else {}
        return self._session.request(
            method,
            self.endpoint.url + path,
            data=form,
            headers={"Host": self.host_header, **proxy, **headers},
            timeout=timeout,
            allow_redirects=False,
        )

    # -- without nginx

    @property
    def straight(self) -> Any:
        """uWSGI's answer to a request without nginx, sent once; raise ``StackError`` if there is none."""
        if isinstance(self._straight, StackError):
            raise self._straight
        return self._straight

    @cached_property
    def _straight(self) -> Any:
        try:
            return self._link.ask("request", {"HTTP_HOST": self.host_header}, "", TIMEOUT)
        except StackError as error:
            return error
