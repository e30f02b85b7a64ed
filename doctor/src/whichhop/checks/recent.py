"""
Failures that only the logs know: of some requests, now and then, on a stack that otherwise works.

The lines are those of nginx's error log and of uWSGI's; each pattern is held to the start of its
line, because what follows may be a client's text.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from whichhop.causes import CAUSES
from whichhop.finding import Finding
from whichhop.target import nginx_log
from whichhop.target.site import Site

MINUTES = 15  # how far back: older failures may be mended

NGINX = nginx_log.HEAD + r"(?:\*\d+ )?"
UWSGI = "{uwsgi}"  # how its lines begin here (whichhop.target.uwsgi_log)
TEMPORARY = "{temporary}"  # where nginx keeps large bodies
ACCESS = r'^(?:\S+ \S+ \S+ \[[^\]]+\] "(?:[^"\\]|\\.)*" {0} |\{{"time":"[^"]*","hop":"nginx".*"status":{0},)'


class Sign(NamedTuple):
    """A line of a service's log that has one cause."""

    cause: str
    service: str  # "nginx" or "app"
    pattern: str
    strangers: bool = False  # can bring it about by what they send: advice, not an alarm

    def regex(self, uwsgi_line: str, temporary_paths: Iterable[str]) -> str:
        """Return its pattern where uWSGI's lines begin, and nginx keeps large bodies, as here."""
        paths = "|".join(map(re.escape, temporary_paths))
        return self.pattern.replace(UWSGI, uwsgi_line).replace(TEMPORARY, f"(?:{paths})")


SIGNS = (
    Sign("response-header-too-big", "nginx", NGINX + "upstream sent too big header"),
    Sign("nginx-temp-unwritable", "nginx", NGINX + rf'open\(\) "{TEMPORARY}/\d[\d/]*" failed \((?:13|30):'),
    Sign("body-too-large", "nginx", NGINX + "client intended to send too large", True),
    Sign("request-header-too-large", "nginx", NGINX + "client sent too long", True),
    Sign("request-header-too-large", "nginx", ACCESS.format(414), True),
    Sign("client-gave-up", "nginx", ACCESS.format(499), True),
    Sign("socket-queue-full", "nginx", NGINX + r"connect\(\) to unix:\S+ failed \(11:"),
    Sign("upstream-queue-full", "app", UWSGI + r"\*\*\* uWSGI listen queue of socket .* full"),
    Sign("page-too-slow", "nginx", NGINX + r"upstream timed out .* while reading response header"),
    Sign("harakiri", "app", UWSGI + r"\*\*\* HARAKIRI ON WORKER"),
    Sign("worker-crashed", "app", UWSGI + r"!!! uWSGI process \d+ got Segmentation Fault"),
    Sign("worker-crashed", "app", UWSGI + r"DAMN ! worker \d+ \(pid: \d+\) died(?:, killed by signal (?!9 )\d+)? :\("),
    Sign("worker-killed", "app", UWSGI + r"DAMN ! worker \d+ \(pid: \d+\) died, killed by signal 9"),
    Sign("uwsgi-post-limit", "app", UWSGI + r"Invalid \(too big\) CONTENT_LENGTH"),
    # 21573 is "ET" of "GET": HTTP that somebody sent to the socket, which harms nobody else.
    Sign("request-block-too-big", "app", UWSGI + r"invalid request block size: (?!21573 )\d+"),
)  # fmt: skip


def failures(site: Site, hop: str) -> Iterator[Finding]:
    """Yield what failed at a hop in the last quarter of an hour, the latest line of each cause."""
    seen: set[str] = set()
    declared = [Sign(*item, True) for item in _declared(site)]
    signs = [sign for sign in (*SIGNS, *declared) if CAUSES[sign.cause].hop == hop]
    log = {role: site.log(getattr(site, role), MINUTES * 60) for role in {s.service for s in signs}}
    uwsgi_line = site.uwsgi_line if "app" in log else ""
    paths = site.temporary_paths if any(TEMPORARY in sign.pattern for sign in signs) else []
    for sign in signs:
        pattern = re.compile(sign.regex(uwsgi_line, paths))
        lines = [line for line in log[sign.service] if pattern.search(line)]
        if not lines or sign.cause in seen:
            continue
        cause = sign.cause
        if cause == "worker-killed":
            if "harakiri" in seen:
                continue  # which ends a worker by the same signal
            if site.stack.out_of_memory(site.app, MINUTES * 60):
                cause = "worker-out-of-memory"
        seen.add(sign.cause)
        say = site.advice if sign.strangers else site.broken
        yield say(cause, lines[-1][:500], **_words(site, lines))


def _declared(site: Site) -> Iterator[tuple[str, str, str]]:
    """Yield what the project declares of its app's log: cause, "app", pattern."""
    for cause, pattern in site.declaration.log.items():
        yield cause, "app", pattern


def _words(site: Site, lines: list[str]) -> dict[str, object]:
    """Return the words that these causes fill in."""
    path = re.search(r'open\(\) "(\S+)/[^/"]+" failed', lines[-1])
    limit = site.server.get("client_max_body_size")
    where = f"{limit.words[1]}, {limit.place}" if limit else "1m, its default"
    place = path[1] if path else ""
    return {
        "count": len(lines),
        "error": lines[-1][:200],
        "limit": where,
        "path": place,
        "identity": "user of the process",
        "volume": site.stack.mount(site.nginx, place).get("Name", ""),
        "address": site.upstream,
    }
