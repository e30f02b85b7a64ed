"""Check the effects of uWSGI's options, its locale and process 1: now, or at the next stop."""

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from whichhop.finding import Cause, Causes, Finding, command, config
from whichhop.target.site import Site
from whichhop.target.site_report import known
from whichhop.target.stack import StackError

CAUSES = Causes(
    {
        "uwsgi-option-misspelt": Cause(
            "uwsgi",
            "an option has no effect",
            "uWSGI has no option {name}, and ignores it: {guess}.",
            config(
                "correct it in the ini file, and add strict = true, which makes such a line an error"
            ),
        ),
        "uwsgi-option-not-a-number": Cause(
            "uwsgi",
            "502 on every page, or a limit that is far too small",
            "uWSGI takes {name} = {value} for {number}: it reads the digits at the start, and drops the rest.",
            config("in {ini}, write {name} as a whole number: no unit, no comma"),
        ),
        "locale-ascii": Cause(
            "uwsgi",
            "500 for file names that are not English",
            "Python inside uWSGI takes file names for ASCII: no LANG is set, and python3 alone does not"
            " show it.",
            config("LANG: C.UTF-8 under environment: of {app}"),
        ),
        "image-newer-than-container": Cause(
            "uwsgi",
            "the old site after a build",
            "The container of {app} was made from an older image than the one that is there now.",
            command("docker compose up --wait"),
        ),
        "stop-not-delivered": Cause(
            "uwsgi",
            "docker compose stop takes 10 s and cuts requests off (137)",
            "The container's first process is {name}, which does not hand SIGTERM on to uWSGI.",
            config("exec uwsgi … in the script, or the list form of CMD"),
        ),
        "stop-reloads": Cause(
            "uwsgi",
            "docker compose stop takes 10 s and cuts requests off (137)",
            "{signal}, which docker compose stop sends, makes this uWSGI reload instead of stop.",
            config("hook-master-start = unix_signal:{number} gracefully_kill_them_all in {ini}"),
        ),
        "stop-cuts-requests-off": Cause(
            "uwsgi",
            "a few 502 at every deploy",
            "{signal}, which docker compose stop sends, ends the workers at once, whatever they are answering.",
            config(
                "hook-master-start = unix_signal:{number} gracefully_kill_them_all in {ini}, without die-on-term"
            ),
        ),
    }
)

# Common options, to tell a typo from a user's own variable.
KNOWN = (
    "buffer-size", "chmod-socket", "chown-socket", "die-on-term", "enable-threads", "env", "gid",
    "harakiri", "lazy-apps", "listen", "logto", "master", "max-requests", "module", "need-app",
    "plugin", "post-buffering", "processes", "pythonpath", "single-interpreter", "socket", "strict",
    "threads", "thunder-lock", "uid", "umask", "vacuum", "virtualenv",
)  # fmt: skip

SIGNALS = {"SIGHUP": "1", "SIGINT": "2", "SIGQUIT": "3", "SIGTERM": "15"}

# Shells do not forward signals; docker-init ("init: true"), tini and dumb-init are made for that.
SHELLS = {"sh", "bash", "dash", "ash", "su"}


def wrong(site: Site) -> Finding | None:
    """Return an option that uWSGI silently ignores."""
    try:
        report = known(site.app.report.uwsgi)
    except StackError:
        return None
    for name in report.misspelt:
        if name not in KNOWN and (near := difflib.get_close_matches(name, KNOWN, 1)):
            return CAUSES.broken(
                site, "uwsgi-option-misspelt", name=name, guess=f"is {near[0]} meant?"
            )
    return None


def not_numbers(site: Site) -> Finding | None:
    """Return an option whose number uWSGI misreads: 64k as 64, 1,000 as 1."""
    try:
        numbers = known(site.app.report.uwsgi).numbers
    except StackError:
        return None
    for name, value in numbers.items():
        if meant := re.match(r"(\d+)(?:[kKmMgG]|[,._']\d)", value):
            words = {"name": name, "value": value, "number": meant[1]}
            return CAUSES.broken(site, "uwsgi-option-not-a-number", **words)
    return None


def later(site: Site) -> Iterator[Finding]:
    """Yield what is harmless now but will matter: at the next stop, or because the image has changed."""
    attributes = site.app.attributes
    if finding := _locale(site):
        yield finding
    image = site.stack.image_of(attributes["Config"]["Image"])
    if image and image != attributes["Image"]:
        yield CAUSES.warning(site, "image-newer-than-container")
    if site.app.vassal:
        return  # the Emperor stops it
    first = next((process.command for process in site.app.processes if process.pid == 1), "")
    name = PurePosixPath(first.split(" ")[0]).name
    if name in SHELLS:
        # Not its whole command line, which may contain secrets.
        yield CAUSES.warning(site, "stop-not-delivered", name=name)
        return
    try:
        options = known(site.app.report.uwsgi).options
    except StackError:
        return
    stop = str(attributes["Config"].get("StopSignal") or "SIGTERM")
    if cause := _at_stop(stop, options):
        number = int(SIGNALS.get(stop, stop)) if SIGNALS.get(stop, stop).isdigit() else 15
        yield CAUSES.warning(site, cause, signal=stop, number=number)


def _at_stop(stop: str, options: Mapping[str, list[str]]) -> str:
    """Return the cause for what a signal does to uWSGI; "" if requests can finish, or if it is not known."""
    number = SIGNALS.get(stop, stop)
    if any(
        f"unix_signal:{number} gracefully_kill" in h for h in options.get("hook-master-start", [])
    ):
        return ""
    cuts, reloads = "stop-cuts-requests-off", "stop-reloads"
    if number == SIGNALS["SIGTERM"]:
        return cuts if "die-on-term" in options else reloads
    if number == SIGNALS["SIGQUIT"]:
        return reloads if "die-on-term" in options else cuts  # swaps the two signals
    return {SIGNALS["SIGINT"]: cuts, SIGNALS["SIGHUP"]: reloads}.get(number, "")


def _locale(site: Site) -> Finding | None:
    """Return that Python inside uWSGI uses ASCII for file names."""
    # The first that is set counts, setlocale(3). PEP 538 and 540, which turn "C" into UTF-8, are
    # implemented in the program python3, not in the library that uWSGI embeds.
    told = [site.app.environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    locale = next(filter(None, told), "")
    if locale not in ("", "C", "POSIX") or site.app.environment.get("PYTHONUTF8") == "1":
        return None
    embedded = "python" not in PurePosixPath(site.app.uwsgi.program).name
    musl = site.app.exec("sh", "-c", "ls /lib/ld-musl-*").code == 0  # always UTF-8
    if not embedded or musl:
        return None
    seen = f"LANG={locale}" if locale else "LANG is not set"
    return CAUSES.warning(site, "locale-ascii", seen)
