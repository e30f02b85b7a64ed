"""
nginx's effective configuration: the output of ``nginx -T`` as a tree, and how nginx interprets it.

Syntax: https://nginx.org/en/docs/beginners_guide.html#conf_structure; how a location is chosen:
https://nginx.org/en/docs/http/ngx_http_core_module.html#location
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

TOKEN = re.compile(
    r"""\s*(?:(?P<comment>\#[^\n]*)|(?P<mark>[{};])|"(?P<double>(?:\\.|[^"\\])*)"
    |'(?P<single>(?:\\.|[^'\\])*)'|(?P<word>(?:\\.|\$\{[^}]*\}|[^\s;{}\\])+))""",
    re.VERBOSE,
)
FILE = re.compile(r"^# configuration file (\S+):\n", re.MULTILINE)


@dataclass
class Directive:
    """One directive: its words, its position, and the content of its block."""

    words: list[str]
    file: str
    line: int
    parent: "Directive | None" = None
    block: list["Directive"] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def place(self) -> str:
        """File and line, e.g. ``/etc/nginx/site.conf:12``."""
        return f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return " ".join(self.words)

    def find(self, *names: str) -> Iterator["Directive"]:
        """Yield the directives with one of these names, here and in all blocks below."""
        for directive in self.block:
            if directive.name in names:
                yield directive
            yield from directive.find(*names)

    def get(self, name: str) -> "Directive | None":
        """Return the directive in effect here: from this block, or else from the nearest enclosing one."""
        for directive in self.block:
            if directive.name == name:
                return directive
        return self.parent.get(name) if self.parent else None


def parse(text: str) -> Directive:
    """
    Return the configuration in the output of ``nginx -T``, with includes inserted.

    Raise ``ValueError`` if it contains none, for example because nginx refused it.
    """
    parts = FILE.split(text)[1:]
    files = dict(zip(parts[::2], parts[1::2], strict=True))
    if not files:
        raise ValueError("no configuration in the output of nginx -T")
    main = next(iter(files))
    prefix = main.rsplit("/", 1)[0]
    root = Directive([], main, 1)
    _parse_file(main, files, prefix, root)
    return root


def _parse_file(name: str, files: dict[str, str], prefix: str, parent: Directive) -> None:
    text, position, words, current = files[name], 0, [], parent
    while match := TOKEN.match(text, position):
        position = match.end()
        if match["comment"] is not None:
            continue
        if (mark := match["mark"]) is None:
            words.append(
                next(match[k] for k in ("double", "single", "word") if match[k] is not None)
            )
            continue
        line = text.count("\n", 0, position) + 1
        if mark == "}":
            current = current.parent or parent
            continue
        directive = Directive(words, name, line, current)
        words = []
        if mark == ";" and directive.name == "include":
            pattern = directive.words[1]
            path = pattern if pattern.startswith("/") else f"{prefix}/{pattern}"
            regex = re.compile(re.escape(path).replace(r"\*", "[^/]*").replace(r"\?", "[^/]"))
            for included in sorted(file for file in files if regex.fullmatch(file)):
                _parse_file(included, files, prefix, current)
            continue
        current.block.append(directive)
        if mark == "{":
            current = directive


def location(server: Directive, uri: str) -> Directive | None:
    """Return the location of a server that nginx chooses for a URI; ``None`` if there is none."""
    best: Directive | None = None
    length = -1
    regexes = []
    for candidate in (item for item in server.block if item.name == "location"):
        modifier, pattern = (["", *candidate.words[1:]])[-2:]
        if modifier == "=" and pattern == uri:
            return candidate
        if modifier in ("~", "~*"):
            if regex := _regex(pattern, re.IGNORECASE if modifier == "~*" else 0):
                regexes.append((regex, candidate))
        elif modifier in ("", "^~") and uri.startswith(pattern) and len(pattern) > length:
            best, length = candidate, len(pattern)
    if best is None or best.words[1] != "^~":
        for regex, candidate in regexes:
            if regex.search(uri):
                return candidate
    nested = location(best, uri) if best is not None else None
    return nested or best


def servers(config: Directive) -> list[Directive]:
    """Return the server blocks of the http block, in the order in which nginx reads them."""
    return [item for http in config.find("http") for item in http.find("server") if item.block]


def server_for(config: Directive, port: int, host: str) -> Directive | None:
    """
    Return the server block that nginx chooses for a host on a port; ``None`` if there is none.

    https://nginx.org/en/docs/http/server_names.html
    """
    listening = [
        (server, listen)
        for server in servers(config)
        for listen in listens(server)
        if listen.port == port
    ]
    found: list[tuple[int, Directive]] = []
    for server, _ in listening:
        names = [
            word for item in server.block if item.name == "server_name" for word in item.words[1:]
        ]
        for name in names or [""]:
            if rank := _rank(name, host):
                found.append((rank, server))
    if found:
        return min(found, key=lambda pair: pair[0])[1]
    chosen = [server for server, listen in listening if listen.default]
    chosen = chosen or [server for server, _ in listening]
    return chosen[0] if chosen else None


def _rank(name: str, host: str) -> int:
    """Return how well a server_name matches a host: 1 is best, 0 is not at all."""
    if name == host or name == f".{host}":
        return 1
    if name.startswith("~"):
        regex = _regex(name[1:])
        return 4 if regex and regex.search(host) else 0
    if name.startswith((".", "*.")) and host.endswith(name.removeprefix("*")):
        return 2
    if name.endswith(".*") and host.startswith(name[:-1]):
        return 3
    return 0


class Listen(NamedTuple):
    """A port on which nginx listens in its container, and whether it uses TLS."""

    port: int
    tls: bool
    default: bool
    local: bool = False  # on the loopback address, which only its own container can reach


def listens(server: Directive) -> list[Listen]:
    """
    Return the TCP ports on which a server block listens; by default, port 80.

    https://nginx.org/en/docs/http/ngx_http_core_module.html#listen
    """
    found = []
    directives = [item for item in server.block if item.name == "listen"]
    for directive in directives:
        address, *options = directive.words[1:]
        if not address.startswith("unix:"):
            port = address.rpartition(":")[2]
            number = int(port) if port.isdigit() else 80
            tls = "ssl" in options or "quic" in options
            local = address.startswith(("127.", "[::1]", "localhost"))
            found.append(Listen(number, tls, "default_server" in options, local))
    return found if directives else [Listen(80, False, False)]


def host_names(server: Directive) -> list[str]:
    """Return the plain host names of a server block, without patterns and catch-alls."""
    found = [name for item in server.block if item.name == "server_name" for name in item.words[1:]]
    plain = [name for name in found if re.fullmatch(r"[A-Za-z0-9\[][A-Za-z0-9.:\]-]*", name)]
    # ".example.com" means example.com and everything below it.
    return plain + [name[1:] for name in found if re.fullmatch(r"\.[A-Za-z0-9.-]+", name)]


def _regex(pattern: str, flags: int = 0) -> re.Pattern[str] | None:
    """Return a compiled PCRE pattern; ``None`` if Python does not support its syntax."""
    with contextlib.suppress(re.error):
        return re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern), flags)
    return None


def file_for(place: Directive, uri: str) -> str | None:
    """Return the path of the file that a location opens for a URI; ``None`` without root or alias."""
    alias, root = place.get("alias"), place.get("root")
    if alias is not None and alias.parent is place:
        return alias.words[1] + uri.removeprefix(place.words[-1])
    return root.words[1] + uri if root is not None else None
