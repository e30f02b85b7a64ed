"""Hop `nginx`, from outside: who answers, and does it reach the app?"""

import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from whichhop.blackbox.view import View, author
from whichhop.finding import ANYBODY, Cause, Causes, Finding, by_hand, config, ok
from whichhop.target import client
from whichhop.target.client import Origin

CAUSES = Causes(
    {
        "does-not-answer": Cause(
            "nginx",
            "the browser waits for ever",
            "{address} takes connections, but {url} is not answered ({error}).",
            by_hand(
                "look at nginx's log: a line for the request, or a limit reached, or no line at all"
            ),
        ),
        "other-server-answers": Cause(
            "nginx",
            '"Welcome to nginx!"',
            "For {host} nginx shows its own first page, not the site.",
            config(
                "give the site's server block this server_name, remove the distribution's default site"
            ),
        ),
        "host-not-served": Cause(
            "nginx",
            "421 Misdirected Request",
            "The server says that it does not serve {host} (421).",
            config("add the name to server_name"),
        ),
        "app-not-reached": Cause(
            "nginx",
            "502 Bad Gateway, 503 Service Unavailable",
            "{server} answers {status} for {url}: it gets nothing from the app behind it.",
            by_hand(
                "whichhop on that machine names the cause; by hand: is the app up, does its socket or"
                " port match uwsgi_pass, may nginx connect to it? 503 is also what limit_req answers"
            ),
        ),
        "page-too-slow": Cause(
            "nginx",
            "504 Gateway Time-out",
            "{server} answers 504 for {url}: the app did not answer in time.",
            by_hand("look what its workers do; whichhop on that machine tells busy from stuck"),
        ),
        "nginx-redirect-loop": Cause(
            "nginx",
            "too many redirects",
            "nginx redirects {url} to itself ({location}).",
            config(
                "redirect only in the server block of port 80; behind a proxy that does TLS, let the proxy do it"
            ),
        ),
        "version-shown": Cause(
            "nginx",
            "nothing",
            "Every answer tells which version runs: {server}.",
            config("nginx: server_tokens off;"),
        ),
        "development-server": Cause(
            "nginx",
            "slow pages; no static files without DEBUG",
            "Django's development server answers here ({server}); it is not made for visitors.",
            config("uWSGI behind nginx"),
        ),
        "redirect-port-internal": Cause(
            "nginx",
            "links without their last slash lead to a dead port",
            "nginx redirects {url} to {location}: scheme or port are those inside the container.",
            config("absolute_redirect off;"),
        ),
    }
)

broken = partial(CAUSES.broken, ANYBODY)
advice = partial(CAUSES.warning, ANYBODY)


def check(view: View) -> Iterator[Finding]:
    """Yield the faults of the front server."""
    visit = view.visit
    if visit.error or not visit.answers:
        late = isinstance(visit.error, TimeoutError)
        error = f"not within {client.TIMEOUT} s" if late else str(visit.error)
        url = visit.answers[-1].location if visit.answers else view.client.url
        address = Origin.of(url).netloc
        yield broken("does-not-answer", *visit.answers, address=address, url=url, error=error)
        return
    last = visit.answers[-1]
    server = last.headers.get("Server", "")
    if visit.loop and author(last) == "nginx":
        yield broken("nginx-redirect-loop", *visit.answers, url=last.url, location=last.location)
    elif last.status in (502, 503, 504):
        cause = "page-too-slow" if last.status == 504 else "app-not-reached"
        who = server or "What is in front"
        yield broken(cause, last, server=who, status=last.status, url=last.url)
    elif last.status == 421:
        yield broken("host-not-served", last, host=view.client.origin.host)
    elif "<h1>Welcome to nginx!</h1>" in last.text:
        yield broken("other-server-answers", last, host=view.client.origin.host)
    else:
        yield from works(view, server)


def works(view: View, server: str) -> Iterator[Finding]:
    """Yield that the front server works, which server it is, and advice."""
    if "WSGIServer" in server:
        yield advice("development-server", f"Server: {server}", server=server)
    elif re.search(r"/\d", server):
        yield advice("version-shown", f"Server: {server}", server=server)
    yield from directories(view)
    if server:
        who = f"it answers ({server})"
    elif view.visit.page and author(view.nowhere) == "nginx":
        who = "it answers; its error page says nginx"
    else:
        who = "something answers; whether it is nginx, it does not say"
    yield ok("nginx", who)


def directories(view: View) -> Iterator[Finding]:
    """Yield whether nginx, when it adds a slash, redirects visitors to its internal port."""
    links = view.links if view.visit.page else []
    if not links:
        return
    url = max((link.url for link in links), key=lambda url: url.count("/")).rpartition("/")[0]
    answer = view.client.ask(url)
    location = answer.location
    if (
        location.partition("?")[0] != f"{url}/"
        and urlsplit(location).path == f"{urlsplit(url).path}/"
    ):
        yield advice("redirect-port-internal", answer, url=url, location=location)
