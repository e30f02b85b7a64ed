"""Hop `port`: is nginx running, is it published on this machine, and is it really nginx that answers?"""

from collections.abc import Iterator

import requests

from hops.causes import broken
from hops.finding import Finding, blocked, ok, unknown
from hops.site import NOWHERE, Site

TIMEOUT = 3  # seconds


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong between a client on this machine and nginx; sends one request."""
    state = site.state(site.nginx)
    if state.status == "missing":
        yield broken("stack-not-started", service=site.nginx)
        return
    if "address already in use" in state.error or "port is already allocated" in state.error:
        yield broken("port-taken", error=state.error)
        return
    if state.status == "paused":
        yield broken("nginx-paused")
        return
    if not state.running and (state.status == "created" or site.init_failed):
        yield blocked("port", f"{site.init} or {site.app}, which nginx waits for,")
        return
    if not state.running:
        yield broken("nginx-not-running", *site.last_lines(site.nginx), state=state)
        return
    if not site.stack.published(site.nginx):
        yield broken("port-not-published", service=site.nginx)
        return

    try:
        server = site.get(NOWHERE).headers.get("Server", "nothing")
    except requests.ConnectTimeout as error:
        yield unknown("port", f"{site.address} does not take connections", str(error))
        return
    except requests.Timeout:
        yield ok("port", f"{site.address} takes connections")
        return
    except requests.ConnectionError as error:
        yield unknown("port", f"{site.address} is published, but does not speak HTTP", str(error))
        return
    if server.startswith("nginx"):
        yield ok("port", f"{site.address} leads to nginx")
    else:
        yield broken("port-answered-by-another", f"Server: {server}", address=site.address)
