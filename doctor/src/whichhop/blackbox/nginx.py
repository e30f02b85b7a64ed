"""Hop `nginx`, from outside: who answers, and does it reach the app?"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from whichhop.blackbox import static
from whichhop.blackbox.causes import advice, broken
from whichhop.blackbox.view import View, author
from whichhop.finding import Finding, ok
from whichhop.target import client
from whichhop.target.client import Origin


def check(view: View) -> Iterator[Finding]:
    """Yield what is wrong with the server in front."""
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
    """Yield who it is that does its work, and advice."""
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
    """Yield whether nginx, adding a slash, sends visitors to a port that only it knows."""
    links = static.links(view) if view.visit.page else []
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
