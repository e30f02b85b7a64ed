"""
Failures that only show in the logs: some requests fail now and then, while the stack otherwise works.

The lines come from nginx's error log and uWSGI's log. Each pattern is anchored at the start of a
line, because later parts may be a client's text.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from whichhop.checks import shared
from whichhop.finding import Cause, Causes, Finding, by_hand, config, merge
from whichhop.target import nginx_log
from whichhop.target.site import Site

CAUSES = Causes(
    {
        "response-header-too-big": Cause(
            "nginx",
            "502 on some pages, though uWSGI answered 200",
            "The headers of an answer were larger than uwsgi_buffer_size.",
            config(
                "uwsgi_buffer_size 16k; uwsgi_buffers 8 16k; uwsgi_busy_buffers_size 32k;"
                " and ask what makes them so large"
            ),
        ),
        "nginx-temp-full": Cause(
            "nginx",
            "500, or an answer that breaks off, when a body is large",
            "There is no room left in {path}, where nginx keeps large bodies: {error}",
            by_hand("make room on its disk, or give it a larger volume"),
        ),
        "body-too-large": Cause(
            "nginx",
            "413 when somebody uploads",
            "nginx refused an upload that was larger than client_max_body_size ({limit}).",
            config(
                "if such uploads are wanted, raise it in the server block, and in every proxy in front"
            ),
        ),
        "request-header-too-large": Cause(
            "nginx",
            "400 or 414 for some visitors",
            "nginx refused a request whose address or cookies were longer than it takes.",
            config(
                "find who sets such cookies; else large_client_header_buffers 4 16k, and buffer-size = 65535"
                " in uWSGI"
            ),
        ),
        "client-gave-up": Cause(
            "nginx",
            "the client's own timeout; 499 in nginx's log",
            "Clients hung up before the answer came, {count} times in 15 minutes.",
            by_hand(
                "make the page faster; whatever waits in front must wait longer than nginx does"
            ),
        ),
        "request-block-too-big": Cause(
            "uwsgi",
            "502 for some visitors or addresses",
            "A request's headers were larger than uWSGI's buffer-size: {error}",
            config(
                "buffer-size = 65535 in {ini}: more than nginx lets through (large_client_header_buffers)"
            ),
        ),
        "uwsgi-post-limit": Cause(
            "uwsgi",
            "502 when somebody uploads",
            "An upload was larger than uWSGI's limit-post, though nginx let it through: {error}",
            config(
                "remove limit-post: client_max_body_size in nginx does the same, with a proper 413"
            ),
        ),
        "worker-out-of-memory": Cause(
            "uwsgi",
            "502 now and then, on heavy requests",
            "The kernel killed a worker, because the container used more memory than it may have.",
            config("reload-on-rss below the limit, fewer workers, or a larger mem_limit of {app}"),
        ),
        "worker-killed": Cause(
            "uwsgi",
            "502 now and then",
            "A worker was killed (signal 9), not by uWSGI and not for memory: somebody did that.",
            by_hand("find who: a script, a debugger, docker compose exec {app} kill"),
        ),
        "worker-crashed": Cause(
            "uwsgi",
            "502 on certain requests",
            "A worker crashed in native code: {error}",
            by_hand(
                "the backtrace in docker compose logs {app} names the library: rebuild it against the image's"
                " own libraries"
            ),
        ),
        "harakiri": Cause(
            "uwsgi",
            "502 after a constant time",
            "uWSGI ended a worker whose request took longer than harakiri: {error}",
            by_hand(
                "make that page faster; harakiri must be longer than nginx's uwsgi_read_timeout to give a 504"
            ),
        ),
        "page-too-slow": Cause(
            "uwsgi",
            "504 on some pages",
            "A page took longer than uwsgi_read_timeout: {error}",
            by_hand(
                "make it faster, or move its work to a background job; only then raise the limit"
            ),
        ),
        "overloaded": Cause(
            "uwsgi",
            "503 while everything runs, and only when many visitors come",
            "The workers were so busy that {count} requests in 15 minutes were refused with 503.",
            by_hand(
                "make the slowest pages faster or let them be cached (Cache-Control: public), then give it more"
                " workers and processors"
            ),
        ),
    }
)

MINUTES = 15  # how far back to look: older failures may be fixed by now

NGINX = nginx_log.HEAD + r"(?:\*\d+ )?"
UWSGI = "{uwsgi}"  # the start of its lines (whichhop.target.uwsgi_log)
TEMPORARY = "{temporary}"  # nginx's directories for large bodies
ACCESS = r'^(?:\S+ \S+ \S+ \[[^\]]+\] "(?:[^"\\]|\\.)*" {0} |\{{"time":"[^"]*","hop":"nginx".*"status":{0},)'


# All causes that show in logs, those of other modules included.
KNOWN = merge(CAUSES, shared.CAUSES)


class Sign(NamedTuple):
    """A line in a service's log that indicates one cause."""

    cause: str
    service: str  # "nginx" or "app"
    pattern: str
    by_clients: bool = False  # clients can provoke it by what they send, so it is only a warning

    def regex(self, uwsgi_line: str, temporary_paths: Iterable[str]) -> str:
        """Return its pattern for this site's start of uWSGI's lines and nginx's temporary directories."""
        paths = "|".join(map(re.escape, temporary_paths))
        return self.pattern.replace(UWSGI, uwsgi_line).replace(TEMPORARY, f"(?:{paths})")


SIGNS = (
    Sign("response-header-too-big", "nginx", NGINX + "upstream sent too big header"),
    Sign("nginx-temp-unwritable", "nginx", NGINX + rf'open\(\) "{TEMPORARY}/\d[\d/]*" failed \((?:13|30):'),
    Sign("nginx-temp-full", "nginx", NGINX + rf'(?:pwritev?|open)\(\) "{TEMPORARY}/\d[\d/]*" failed \(28:'),
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
    # 21573 is "ET" of "GET": a client sent HTTP to the socket, which affects no other request.
    Sign("request-block-too-big", "app", UWSGI + r"invalid request block size: (?!21573 )\d+"),
)  # fmt: skip


def failures(site: Site, hop: str) -> Iterator[Finding]:
    """Yield what failed at a hop in the last ``MINUTES``, with the latest line of each cause."""
    seen: set[str] = set()
    declared = [Sign(cause, "app", text, True) for cause, text in site.declaration.log.items()]
    signs = [sign for sign in (*SIGNS, *declared) if KNOWN[sign.cause].hop == hop]
    services = {"nginx": site.nginx, "app": site.app}
    log = {role: services[role].log(MINUTES * 60) for role in {sign.service for sign in signs}}
    uwsgi_line = site.app.log_beginning if "app" in log else ""
    paths = site.link.temporary_paths if any(TEMPORARY in sign.pattern for sign in signs) else []
    for sign in signs:
        pattern = re.compile(sign.regex(uwsgi_line, paths))
        lines = [line for line in log[sign.service] if pattern.search(line)]
        if not lines or sign.cause in seen:
            continue
        cause = sign.cause
        if cause == "worker-killed":
            if "harakiri" in seen:
                continue  # harakiri kills a worker with the same signal
            if site.stack.out_of_memory(site.app.name, MINUTES * 60):
                cause = "worker-out-of-memory"
        seen.add(sign.cause)
        say = KNOWN.warning if sign.by_clients else KNOWN.broken
        yield say(site, cause, lines[-1][:500], **_words(site, lines))


def _words(site: Site, lines: list[str]) -> dict[str, object]:
    """Return the words that fill the braces of these causes."""
    path = re.search(r'\w\(\) "(\S+)/[^/"]+" failed', lines[-1])
    limit = site.link.server.get("client_max_body_size")
    where = f"{limit.words[1]}, {limit.place}" if limit else "1m, its default"
    place = path[1] if path else site.link.upstream.path
    return {
        "count": len(lines),
        "error": lines[-1][:200],
        "limit": where,
        "path": place,
        "identity": "user of the process",
        "volume": site.nginx.mount(place).get("Name", ""),
        "address": site.link.upstream,
    }
