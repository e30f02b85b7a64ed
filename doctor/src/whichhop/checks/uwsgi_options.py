"""What uWSGI's options, its locale and its first process lead to: now, or at the next stop."""

import difflib
from collections.abc import Iterator
from pathlib import PurePosixPath

from whichhop.finding import Finding
from whichhop.target.site import Site
from whichhop.target.stack import StackError

# Those that people write, to tell a typo from a name of their own.
KNOWN = (
    "buffer-size", "chmod-socket", "chown-socket", "die-on-term", "enable-threads", "env", "gid",
    "harakiri", "lazy-apps", "listen", "logto", "master", "max-requests", "module", "need-app",
    "plugin", "post-buffering", "processes", "pythonpath", "single-interpreter", "socket", "strict",
    "threads", "thunder-lock", "uid", "umask", "vacuum", "virtualenv",
)  # fmt: skip

# Shells do not hand signals on; docker-init ("init: true"), tini and dumb-init are there to do it.
SHELLS = {"sh", "bash", "dash", "ash", "su"}


def wrong(site: Site) -> Finding | None:
    """Return an option that uWSGI silently ignores."""
    try:
        report = site.report("uwsgi")
    except StackError:
        return None
    for name in report["misspelt"]:
        if name not in KNOWN and (near := difflib.get_close_matches(name, KNOWN, 1)):
            return site.broken("uwsgi-option-misspelt", name=name, guess=f"is {near[0]} meant?")
    return None


def later(site: Site) -> Iterator[Finding]:
    """Yield what does no harm now, but will: at the next stop, or because the image has changed."""
    container = site.stack.container(site.app)
    if finding := _locale(site):
        yield finding
    image = site.stack.image_of(container.attrs["Config"]["Image"])
    if image and image != container.attrs["Image"]:
        yield site.advice("image-newer-than-container")
    if site.vassal:
        return  # its Emperor stops it
    first = next((process.command for process in site.processes if process.pid == 1), "")
    name = PurePosixPath(first.split(" ")[0]).name
    if name in SHELLS:
        # Not its whole command line: people write secrets there.
        yield site.advice("stop-not-delivered", name=name)
        return
    try:
        options = site.report("uwsgi")["options"]
    except StackError:
        return
    if any("gracefully_kill" in hook for hook in options.get("hook-master-start", [])):
        return
    if "die-on-term" in options:
        yield site.advice("stop-cuts-requests-off")
    elif container.attrs["Config"].get("StopSignal") in (None, "", "SIGTERM"):
        yield site.advice("stop-reloads")


def _locale(site: Site) -> Finding | None:
    """Return that Python inside uWSGI takes file names for ASCII."""
    # The first that is set counts, setlocale(3). PEP 538 and 540, which make UTF-8 of "C", are the
    # work of the program python3, and not of the library that uWSGI has in it.
    told = [site.environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    locale = next(filter(None, told), "")
    if locale not in ("", "C", "POSIX") or site.environment.get("PYTHONUTF8") == "1":
        return None
    embedded = "python" not in PurePosixPath(site.uwsgi.program).name
    musl = site.stack.exec(site.app, "sh", "-c", "ls /lib/ld-musl-*").code == 0  # always UTF-8
    if not embedded or musl:
        return None
    seen = f"LANG={locale}" if locale else "LANG is not set"
    return site.advice("locale-ascii", seen)
