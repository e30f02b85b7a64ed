"""Hop `port`: is nginx running, is it published on this machine, and is it really nginx that answers?"""

from collections.abc import Iterator

import requests

from whichhop.finding import Finding, blocked, ok, unknown
from whichhop.target.site import NOWHERE, Site


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong between a client on this machine and nginx; sends one request."""
    state = site.state(site.nginx)
    if state.status == "missing":
        yield site.broken("stack-not-started")
    elif "address already in use" in state.error or "port is already allocated" in state.error:
        yield site.broken("port-taken", error=state.error)
    elif state.status == "paused":
        yield site.broken("nginx-paused")
    elif not state.running and (
        site.init_failed or (state.status == "created" and not state.error)
    ):
        yield blocked("port", f"{' or '.join(site.nginx_waits_for)}, which nginx waits for,")
    elif site.refusal or (state.error and not state.running):
        yield blocked("port", "nginx")  # which ended because of what it was told
    elif not state.running:
        yield site.broken("nginx-not-running", *site.last_lines(site.nginx), state=state)
    else:
        yield from _answers(site)


def _answers(site: Site) -> Iterator[Finding]:
    door = site.door
    if not door.port and not site.behind_another:
        yield site.broken("port-not-published")
        return
    listening = sorted({listen.port for listen in site.listens})
    if listening and door.inside not in site.all_ports:
        known = " and ".join(map(str, sorted(site.all_ports)))
        yield site.broken("port-leads-nowhere", address=door.url, inside=door.inside, listens=known)
        return
    try:
        server = site.get(NOWHERE).headers.get("Server", "nothing")
    except requests.ConnectTimeout as error:
        yield unknown("port", f"{door.url} does not take connections", str(error))
        return
    except requests.Timeout:
        yield ok("port", f"{door.url} takes connections")
        return
    except requests.ConnectionError as error:
        yield unknown("port", f"{door.url} is published, but does not speak HTTP", str(error))
        return
    if not door.port:
        yield ok("port", f"it is not published here: {site.behind_another} asks it")
    elif server.startswith("nginx"):
        yield ok("port", f"{door.url} leads to nginx")
    elif site.is_nginx:
        yield ok("port", f"{door.url} leads to nginx, which calls itself {server!r}")
    else:
        yield site.broken("port-answered-by-another", f"Server: {server}", address=door.url)
