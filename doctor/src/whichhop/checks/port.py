"""Hop `port`: is nginx running, is it published on this machine, and is it really nginx that answers?"""

from collections.abc import Iterator

import requests

from whichhop.finding import Cause, Causes, Finding, blocked, by_hand, command, config, ok, unknown
from whichhop.target.site import Site
from whichhop.target.visitor import NOWHERE

CAUSES = Causes(
    {
        "stack-not-started": Cause(
            "port",
            "connection refused",
            "The stack is not started: the service {nginx} has no container.",
            command("docker compose up --build --wait"),
        ),
        "nginx-not-running": Cause(
            "port",
            "connection refused",
            "The container of nginx is not running ({state}).",
            command(
                "docker compose up --wait; its log says why it ended: docker compose logs {nginx}"
            ),
        ),
        "nginx-paused": Cause(
            "port",
            "the browser waits for ever",
            "The container of nginx is paused.",
            command("docker compose unpause {nginx}"),
        ),
        "port-taken": Cause(
            "port",
            "docker compose up fails at its end: address already in use",
            "nginx could not be started, because its port is taken: {error}",
            by_hand(
                "stop the other program, or publish another port; then docker compose up --wait"
            ),
        ),
        "port-not-published": Cause(
            "port",
            "connection refused, though nginx runs",
            "nginx runs, but none of its ports is published on this machine.",
            config(
                "add a line under ports: of {nginx} in the Compose file (expose: does not publish)"
            ),
        ),
        "port-leads-nowhere": Cause(
            "port",
            "connection reset or refused, though nginx runs",
            "{address} leads to port {inside} in the container, but nginx listens on {listens}.",
            config("under ports: of {nginx}, put one of these numbers behind the colon"),
        ),
        "nginx-listens-on-localhost": Cause(
            "port",
            "connection reset, though nginx runs and its port is published",
            "nginx listens on port {inside}, but on 127.0.0.1 of its own container, where nobody can come.",
            config("listen {inside}; instead of listen 127.0.0.1:{inside};"),
        ),
        "port-answered-by-another": Cause(
            "port",
            "another site answers, or none",
            "Something answers on {address}, but it is not nginx.",
            by_hand(
                "look at the image and the command of the service: docker compose config {nginx}"
            ),
        ),
    }
)


def check(site: Site) -> Iterator[Finding]:
    """Yield the faults between a client on this machine and nginx; send one request."""
    state = site.nginx.state
    if state.status == "missing":
        yield CAUSES.broken(site, "stack-not-started")
    elif "address already in use" in state.error or "port is already allocated" in state.error:
        yield CAUSES.broken(site, "port-taken", error=state.error)
    elif state.status == "paused":
        yield CAUSES.broken(site, "nginx-paused")
    elif not state.running and (
        site.init_failed or (state.status == "created" and not state.error)
    ):
        yield blocked(
            "port",
            f"{' or '.join(site.nginx.waits_for or [site.app.name])}, which nginx waits for,",
        )
    elif site.nginx.refusal or (state.error and not state.running):
        yield blocked("port", "nginx")  # nginx ended because of its configuration
    elif not state.running:
        yield CAUSES.broken(site, "nginx-not-running", *site.nginx.last_lines(), state=state)
    else:
        yield from _answers(site)


def _answers(site: Site) -> Iterator[Finding]:
    endpoint = site.visitor.endpoint
    if not endpoint.port and not site.nginx.behind:
        yield CAUSES.broken(site, "port-not-published")
        return
    listening = sorted({listen.port for listen in site.link.listens})
    if listening and endpoint.inside not in site.nginx.ports:
        known = " and ".join(map(str, sorted(site.nginx.ports)))
        yield CAUSES.broken(
            site, "port-leads-nowhere", address=endpoint.url, inside=endpoint.inside, listens=known
        )
        return
    if not site.nginx.ports.get(endpoint.inside, True):
        yield CAUSES.broken(site, "nginx-listens-on-localhost", inside=endpoint.inside)
        return
    try:
        server = site.visitor.get(NOWHERE).headers.get("Server", "nothing")
    except requests.ConnectTimeout as error:
        yield unknown("port", f"{endpoint.url} does not take connections", str(error))
        return
    except requests.Timeout:
        yield ok("port", f"{endpoint.url} takes connections")
        return
    except requests.ConnectionError as error:
        yield unknown("port", f"{endpoint.url} is published, but does not speak HTTP", str(error))
        return
    if not endpoint.port:
        yield ok("port", f"it is not published here: {site.nginx.behind} asks it")
    elif server.startswith("nginx"):
        yield ok("port", f"{endpoint.url} leads to nginx")
    elif site.nginx.runs_nginx:
        yield ok("port", f"{endpoint.url} leads to nginx, which calls itself {server!r}")
    else:
        yield CAUSES.broken(
            site, "port-answered-by-another", f"Server: {server}", address=endpoint.url
        )
