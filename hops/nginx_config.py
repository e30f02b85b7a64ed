"""
nginx's effective configuration: what ``nginx -T`` prints, as a tree, and what nginx makes of it.

Syntax: https://nginx.org/en/docs/beginners_guide.html#conf_structure; how a location is chosen:
https://nginx.org/en/docs/http/ngx_http_core_module.html#location
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""\s*(?:(?P<comment>\#[^\n]*)|(?P<mark>[{};])|"(?P<double>(?:\\.|[^"\\])*)"
    |'(?P<single>(?:\\.|[^'\\])*)'|(?P<word>(?:\\.|\$\{|[^\s;{}\\])+))""",
    re.VERBOSE,
)
FILE = re.compile(r"^# configuration file (\S+):$", re.MULTILINE)


@dataclass
class Directive:
    """One directive: its words, where it stands, and what is in its block."""

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
        """Where to look, e.g. ``/etc/nginx/site.conf:12``."""
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
        """Return the directive in force here: in this block, or else in the nearest one around it."""
        for directive in self.block:
            if directive.name == name:
                return directive
        return self.parent.get(name) if self.parent else None


def parse(text: str) -> Directive:
    """
    Return the configuration in the output of ``nginx -T``, with includes put in their places.

    Raise ``ValueError`` when there is none in it, for example because nginx refused it.
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
    """Return the location of a server that answers a URI, as nginx chooses it; ``None``: none does."""
    best: Directive | None = None
    length = -1
    regexes = []
    for candidate in (item for item in server.block if item.name == "location"):
        modifier, pattern = (["", *candidate.words[1:]])[-2:]
        if modifier == "=" and pattern == uri:
            return candidate
        if modifier in ("~", "~*"):
            pattern = re.sub(
                r"\(\?<(?=[A-Za-z_])", "(?P<", pattern
            )  # PCRE's groups, as Python has them
            regexes.append(
                (re.compile(pattern, re.IGNORECASE if modifier == "~*" else 0), candidate)
            )
        elif modifier in ("", "^~") and uri.startswith(pattern) and len(pattern) > length:
            best, length = candidate, len(pattern)
    if best is None or best.words[1] != "^~":
        for regex, candidate in regexes:
            if regex.search(uri):
                return candidate
    nested = location(best, uri) if best is not None else None
    return nested or best


def file_for(place: Directive, uri: str) -> str | None:
    """Return the path of the file that a location would open for a URI; ``None`` without root or alias."""
    alias, root = place.get("alias"), place.get("root")
    if alias is not None and alias.parent is place:
        return alias.words[1] + uri.removeprefix(place.words[-1])
    return root.words[1] + uri if root is not None else None
