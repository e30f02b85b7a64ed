"""
Where nginx sends requests: the address to which a server block's ``uwsgi_pass`` or ``proxy_pass`` leads.

https://nginx.org/en/docs/http/ngx_http_uwsgi_module.html#uwsgi_pass
https://nginx.org/en/docs/http/ngx_http_upstream_module.html
"""

import re
from typing import NamedTuple

from whichhop.target import nginx_config
from whichhop.target.nginx_config import Directive

# The protocol of each of nginx's pass directives.
PROTOCOLS = {
    "uwsgi_pass": "uwsgi",
    "proxy_pass": "http",
    "fastcgi_pass": "fastcgi",
    "scgi_pass": "scgi",
}


class Upstream(NamedTuple):
    """One address of an app: a Unix socket's ``path``, or ``host`` and ``port``."""

    directive: Directive
    protocol: str
    path: str = ""
    host: str = ""
    port: int = 0
    resolved_late: bool = False  # through a variable: at each request instead of at the start

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"


def of(server: Directive, config: Directive) -> Upstream:
    """
    Return the address to which a server block sends requests that match no more specific location.

    Raise ``ValueError`` if it has no pass directive, ``LookupError`` if it uses a variable that the
    configuration does not set.
    """
    root = nginx_config.location(server, "/")
    # The app may serve only some of the URLs, and a frontend the others.
    passes = list(root.find("uwsgi_pass")) if root else []
    passes += server.find("uwsgi_pass")
    passes += root.find(*PROTOCOLS) if root else []
    passes += server.find(*PROTOCOLS)
    if not passes:
        raise ValueError("no server block of nginx passes requests on (uwsgi_pass)")
    directive = passes[0]
    text, late = directive.words[1], False
    for _ in range(5):  # a variable may refer to another one
        if not (name := re.search(r"\$\{?(\w+)\}?", text)):
            break
        late = True
        values = [item.words[2] for item in config.find("set") if item.words[1] == f"${name[1]}"]
        for table in config.find("map", "geo", "split_clients"):
            if table.words[-1] == f"${name[1]}":
                values += [item.words[-1] for item in table.block if item.name in ("default", "*")]
        if not values:
            raise LookupError(f"{directive.place}: what {name[0]} is in {directive} is not known")
        text = text.replace(name[0], values[-1])
    text = re.sub(r"^(?!unix:)\w+://", "", text)
    for block in config.find("upstream"):
        if block.words[1] == text.split("/")[0]:
            servers = [item.words for item in block.block if item.name == "server"]
            usable = [words[1] for words in servers if not {"down", "backup"} & {*words}]
            text, late = (usable or [words[1] for words in servers])[0], False
            break
    return parse(directive, text, late)


def parse(directive: Directive, text: str, late: bool = False) -> Upstream:
    """Parse an address in nginx's notation: ``unix:/path``, ``host:port``, ``[::1]:port``."""
    protocol = PROTOCOLS[directive.name]
    if text.startswith("unix:"):
        # The tutorial and many others write unix:///path; to the kernel, three slashes are one.
        path = re.sub("^/+", "/", text.removeprefix("unix:").partition(":")[0])
        return Upstream(directive, protocol, path=path)
    address = text.split("/")[0]
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        host, port = address, "80"
    return Upstream(directive, protocol, "", host.strip("[]"), int(port), late)


def passes_on(place: Directive) -> bool:
    """Return whether a location passes its requests on, rather than serving files."""
    return any(item.name in PROTOCOLS for item in place.block)


def params(upstream: Upstream) -> dict[str, str]:
    """
    Return the uwsgi_param (or proxy_set_header) directives in effect where a request is passed on.

    A block that has one such directive of its own inherits none.
    https://nginx.org/en/docs/http/ngx_http_uwsgi_module.html#uwsgi_param
    """
    name = "uwsgi_param" if upstream.protocol == "uwsgi" else "proxy_set_header"
    place = upstream.directive.parent
    while place:
        lines = [item.words for item in place.block if item.name == name]
        if lines:
            return {words[1]: words[2] for words in lines if len(words) > 2}
        place = place.parent
    return {}
