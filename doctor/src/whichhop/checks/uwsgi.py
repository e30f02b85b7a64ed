"""Hop `uwsgi`: does the app run, does it speak the protocol, and does a worker accept a request?"""

import re
from collections.abc import Iterator

from whichhop.checks import app_container, uwsgi_options, vassals
from whichhop.finding import Cause, Causes, Finding, by_hand, command, config, ok, unknown
from whichhop.target.site import Site
from whichhop.target.site_report import failed
from whichhop.target.stack import StackError
from whichhop.target.visitor import TIMEOUT

CAUSES = Causes(
    {
        "workers-do-not-answer": Cause(
            "uwsgi",
            "504 after the time limit",
            "A request sent straight to the socket got no answer within {seconds} s: all workers are busy"
            " or stuck.",
            command(
                "see what they do: docker compose top {app}; docker compose restart {app} ends it"
            ),
        ),
        "uwsgi-sent-to-http": Cause(
            "uwsgi",
            "502 after 4 s, or 504, on every page",
            "nginx speaks the uwsgi protocol ({directive}), but {address} speaks HTTP.",
            config(
                "socket = instead of http-socket = (or http =) in uWSGI; or proxy_pass http://… in nginx"
            ),
        ),
        "http-sent-to-uwsgi": Cause(
            "uwsgi",
            "502 on every page; uWSGI logs: invalid request block size",
            "nginx speaks HTTP ({directive}), but {address} speaks the uwsgi protocol.",
            config(
                "uwsgi_pass and include uwsgi_params instead of proxy_pass; a larger buffer-size does not help"
            ),
        ),
        "fastcgi-sent-to-uwsgi": Cause(
            "uwsgi",
            "502 on every page; uWSGI logs: unavailable modifier requested",
            "nginx speaks {protocol} ({directive}), but {address} speaks the uwsgi protocol.",
            config("uwsgi_pass and include uwsgi_params"),
        ),
        "python-plugin-missing": Cause(
            "uwsgi",
            "502 on every page, though uWSGI runs",
            "This uWSGI has no Python in it: the distribution's needs a plugin for that.",
            config("install uwsgi-plugin-python3 and set plugin = python3 in {ini}"),
        ),
        "no-python-application": Cause(
            "uwsgi",
            '500, "Internal Server Error" in 21 bytes',
            "uWSGI runs without the site, which it could not load: {error}",
            by_hand(
                "correct that, and set need-app = true in {ini}, so that it fails at the start"
            ),
        ),
    }
)

NO_APPLICATION = r"no python application found|unable to load app 0"


def check(site: Site) -> Iterator[Finding]:
    """Yield the faults of uWSGI; send a ping and one or two requests, without nginx."""
    state = site.app.state
    if not state.running or app_container.keeps_failing(site):
        yield app_container.not_running(site, state)
        return
    if missing := vassals.wrong(site):
        yield missing
        return
    if not site.app.runs_uwsgi:
        # Between two starts, or before the first.
        if state.restarts or app_container.reason(site):
            yield app_container.not_running(site, state)
        else:
            runs = [process.program for process in site.app.processes if process.pid == 1]
            yield unknown("uwsgi", f"no uWSGI runs in {site.app} (yet)", *runs)
        return
    wrong = uwsgi_options.not_numbers(site) or _protocol(site)
    if wrong:
        yield wrong
        return
    wrong = app_container.health(site) or uwsgi_options.wrong(site)
    if wrong:
        yield wrong
        return
    yield ok("uwsgi", "it speaks its protocol, and a worker answers a request")
    yield from uwsgi_options.later(site)


def _protocol(site: Site) -> Finding | None:
    """Return why a request that reaches the socket is not answered."""
    try:
        passed = site.link.upstream
    except StackError:
        passed = None  # hop nginx says why; the app may be fine
    if passed and passed.protocol == "http":
        return _http(site)
    address, directive = (str(passed), str(passed.directive)) if passed else ("its socket", "")
    try:
        speaks, silent = _speaks_uwsgi(site), ""
    except StackError as error:
        speaks, silent = False, str(error)
    if speaks and passed and passed.protocol != "uwsgi":
        words = {"protocol": passed.protocol, "directive": directive, "address": address}
        return CAUSES.broken(site, "fastcgi-sent-to-uwsgi", directive, **words)
    if not speaks or _answers_nonsense(site):
        if _speaks_http(site):
            seen = "GET / HTTP/1.0 is answered, a uwsgi packet is not"
            return CAUSES.broken(
                site, "uwsgi-sent-to-http", seen, directive=directive, address=address
            )
        if "timed out" in silent:
            return _silent(site, silent)
    return _request(site)


def _answers_nonsense(site: Site) -> bool:
    """Return whether the packet gets "400 Bad Request": from a site that rejects the host, or from an HTTP server."""
    try:
        return bool(site.visitor.straight[0] == 400)
    except StackError:
        return False


def _speaks_http(site: Site) -> bool:
    try:
        return bool(site.link.ask("http", site.visitor.host_header, TIMEOUT))
    except StackError:
        return False


def _speaks_uwsgi(site: Site) -> bool:
    """
    Return whether a request or else a ping is answered: a site may fail too early to answer requests.

    Raise ``StackError`` if neither is accepted.
    """
    try:
        return bool(site.visitor.straight)
    except StackError as error:
        problem = str(error)
    # A free worker accepts a ping even if it does not understand it, and then hangs up.
    return bool(site.link.ask("ping", TIMEOUT)) or "timed out" in problem


def _http(site: Site) -> Finding | None:
    """Return what is wrong when nginx speaks HTTP to the app."""
    if _speaks_http(site):
        return None
    try:
        speaks_uwsgi = _speaks_uwsgi(site)
    except StackError as error:
        if "timed out" in str(error):
            return _silent(site, str(error))
        return _unusable(error)
    if speaks_uwsgi:
        passed = site.link.upstream
        lines = site.app.last_lines("invalid request block size", 1)
        seen = ("GET / HTTP/1.0 is not answered; a uwsgi packet is", *lines)
        words = {"directive": passed.directive, "address": passed}
        return CAUSES.broken(site, "http-sent-to-uwsgi", *seen, **words)
    return unknown("uwsgi", "what listens there answers neither HTTP nor the uwsgi protocol")


def _request(site: Site) -> Finding | None:
    """Return why no worker answers a request, or what answers instead of the site."""
    try:
        answer = site.visitor.straight
    except StackError as error:
        if "timed out" in str(error):
            return None  # a worker is free, but the page is slow: see hop django
        if missing := site.app.last_lines(r"-- unavailable modifier requested: 0 --", 1):
            return CAUSES.broken(site, "python-plugin-missing", *missing)
        # A worker accepted the request and dropped it: hop django looks for the reason in the site.
        if failed(site.app.report.load) or failed(site.app.report.urls):
            return None
        if any(word in str(error) for word in ("refused", "No such file", "shares no volume")):
            return _unusable(error)
        return unknown("uwsgi", "a worker took a request and gave no answer", str(error))
    status, _, body = answer
    if status == 500 and body.strip() == "Internal Server Error":
        lines = site.app.last_lines(f"{app_container.NOT_LOADED}|{NO_APPLICATION}")
        if site.app.last_lines(NO_APPLICATION, 1):
            why = next((line for line in lines if not re.search(NO_APPLICATION, line)), lines[-1])
            return CAUSES.broken(site, "no-python-application", *lines, error=why)
    return None


def _unusable(error: StackError) -> Finding:
    return unknown("uwsgi", "the socket cannot be used from the app's own container", str(error))


def _silent(site: Site, error: str) -> Finding:
    """Return that no worker accepts waiting requests; mark the visitor, so that later hops do not wait for pages."""
    site.visitor.silent = True
    lines = (error.splitlines()[-1], *site.link.queue(TIMEOUT), *site.app.last_lines())
    return CAUSES.broken(site, "workers-do-not-answer", *lines, seconds=TIMEOUT)
