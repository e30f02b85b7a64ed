"""Find out why a site's vassal does not run, from the Emperor's log and the vassal's last lines in it."""

import itertools
import re

from whichhop.checks import app_container
from whichhop.finding import Cause, Causes, Finding, by_hand, config, unknown
from whichhop.target import uwsgi_log
from whichhop.target.site import Site
from whichhop.target.stack import StackError

CAUSES = Causes(
    {
        "vassal-failed": Cause(
            "uwsgi",
            "503 on one site; the others work",
            "The vassal {vassal} ends whenever the Emperor starts it ({times} times by now): {error}",
            by_hand("{advice}. After a change in {ini}: {publish}"),
        ),
        "vassal-refused": Cause(
            "uwsgi",
            "503 on one site; the others work",
            "The Emperor does not start the vassal {vassal}: in tyrant mode its ini file may not belong to"
            " root, nor to root's group ({owner}).",
            config(
                "make the user and group that shall run the site its owner; here: uid and gid in {ini}, then"
                " {publish}"
            ),
        ),
        "vassal-missing": Cause(
            "uwsgi",
            "503 on one site; the others work",
            "No vassal of the Emperor in {app} has {address}, to which nginx sends the requests for {host}.",
            config(
                "put the site's ini file back, or take its server block out of nginx's configuration"
            ),
        ),
    }
)

# An Emperor's messages about a vassal, of which the latest counts: core/emperor.c.
REFUSED = "invalid permissions for vassal"
ENDED = "curse the uwsgi instance"
FAILED = f"{ENDED}|removed uwsgi instance|dropping privileges|bad behaving vassal|throttle level"
READY = "is ready to accept|is now loyal"
WELL = f"{READY}|has been spawned|reload the uwsgi instance|stop the uwsgi instance"


def wrong(site: Site) -> Finding | None:
    """Return why no vassal serves a site; ``None`` if one does, or if there is no Emperor."""
    if site.app.vassals is None or _answers(site):
        return None
    if site.app.vassal is None:
        return _missing(site)
    vassal, log = site.app.vassal, site.app.log()
    said = rf"{uwsgi_log.USUAL}(?:\[emperor|!!! permissions).* {re.escape(vassal.name)}(?: |$|,)"
    places = [number for number, line in enumerate(log) if re.search(said, line)]
    latest = next(
        (log[n] for n in reversed(places) if re.search(f"{REFUSED}|{FAILED}|{WELL}", log[n])), ""
    )
    if REFUSED in latest:
        owner = f"{vassal.uid}:{vassal.gid}"
        return CAUSES.broken(site, "vassal-refused", latest, owner=owner)
    if vassal.master and not re.search(FAILED, latest):
        return None  # it runs; the hops find out why it does not answer
    ready = max((n for n in places if re.search(READY, log[n])), default=-1)
    ends = [n for n in places if n > ready and ENDED in log[n]]
    if not ends:
        return unknown("uwsgi", f"the vassal {vassal.name} does not run (yet)", latest)
    return _failed(site, len(ends), _last_words(log, places))


def _answers(site: Site) -> bool:
    try:
        return bool(site.visitor.straight)
    except StackError:
        return False


def _missing(site: Site) -> Finding | None:
    try:
        socket = site.link.address
    except StackError:
        return None  # the hops find out why
    address = socket if isinstance(socket, str) else f"port {socket[1]}"
    if any(
        re.search(r"^\s*(?:uwsgi-)?socket\s*=.*\$\(", vassal.text, re.MULTILINE)
        for vassal in site.app.vassals or ()
    ):
        return None  # from an environment that cannot be seen
    known = ", ".join(sorted(vassal.name for vassal in site.app.vassals or ())) or "none"
    return CAUSES.broken(
        site, "vassal-missing", f"its vassals: {known}", address=address, host=site.visitor.host
    )


def _last_words(log: list[str], places: list[int]) -> list[str]:
    """Return a vassal's last lines before it last ended: those between two lines of the Emperor about it."""
    said: list[str] = []
    for start, end in itertools.pairwise(places):
        if ENDED in log[end]:
            said = log[start + 1 : end] or said
    return said


def _failed(site: Site, times: int, said: list[str]) -> Finding:
    """Return why a vassal ends, with a fix if its message is a known one."""
    for cause, pattern in app_container.REASONS.items():
        lines = [line for line in said if re.search(pattern, line)][-3:]
        if lines:
            error = app_container.telling(lines)
            advice = app_container.OF_A_START.broken(
                site, cause, **app_container.WORDS, error=error
            ).fix
            return CAUSES.broken(
                site, "vassal-failed", *lines, error=error, times=times, advice=advice
            )
    lines = said[-3:]
    error = lines[-1] if lines else "it says nothing"
    advice = f"look at what it says: docker compose logs {site.app}"
    return CAUSES.broken(site, "vassal-failed", *lines, error=error, times=times, advice=advice)
