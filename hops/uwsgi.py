"""Hop `uwsgi`: does the app run, does it speak the protocol, and does a worker take a request?"""

from collections.abc import Iterator
from typing import Any

from hops.causes import broken
from hops.finding import Finding, ok, unknown
from hops.site import TIMEOUT, Site, State
from hops.stack import StackError

NOT_LOADED = r"GAME OVER|^\w*(?:Error|Exception|ImproperlyConfigured)\b|strict-mode|getopt|cannot open shared"


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with uWSGI; sends one ping and one request, without nginx."""
    state = site.state(site.app)
    if not state.running:
        yield _not_running(site, state)
        return
    try:
        answers_ping = site.stack.uwsgi("ping", site.socket, TIMEOUT)
    except StackError as error:
        if "timed out" in str(error):
            yield _silent(site, str(error))
        elif state.restarts and state.health != "healthy":
            yield _not_running(site, state)  # between two attempts to start
        else:
            yield unknown(
                "uwsgi", "the socket cannot be used from the app's own container", str(error)
            )
        return
    if answers_ping is not True:
        yield unknown("uwsgi", "the answer to a ping is not the one of uWSGI")
        return
    try:
        variables = {"HTTP_HOST": site.host_header}
        answer: Any = site.stack.uwsgi("request", site.socket, variables, "", TIMEOUT)
    except StackError as error:
        yield _silent(site, str(error))
        return
    yield ok("uwsgi", f"it answers a ping, and a worker answers a request ({answer[0]})")


def _silent(site: Site, error: str) -> Finding:
    """Return that no worker takes what waits at the socket."""
    lines = (error.splitlines()[-1], *site.last_lines(site.app))
    return broken("workers-do-not-answer", *lines, seconds=TIMEOUT)


def _not_running(site: Site, state: State) -> Finding:
    """Return why the app does not run: init, the engine or its own log say so."""
    if state.status == "paused":
        return broken("app-paused")
    if site.init_failed:
        error = (site.last_lines(site.init, count=1) or ("",))[0]
        return broken(
            "init-failed", *site.last_lines(site.init), error=error.removeprefix("init: ")
        )
    if state.out_of_memory and state.exit_code:
        return broken("app-out-of-memory", str(state), *site.last_lines(site.app, "DAMN|memory"))
    reasons = site.last_lines(site.app, NOT_LOADED)
    if state.restarts and reasons:
        error = next((line for line in reasons if "GAME OVER" not in line), reasons[-1])
        return broken("app-not-loaded", *reasons, error=error)
    return broken("app-not-running", *site.last_lines(site.app), state=state)
