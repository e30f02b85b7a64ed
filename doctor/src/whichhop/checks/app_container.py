"""Why the app's container does not run, or is called unhealthy: the engine, its log or init say so."""

import re
from collections.abc import Sequence

from whichhop.finding import Finding
from whichhop.target.containers import State
from whichhop.target.site import Site
from whichhop.target.stack import StackError

# What a Python program says last, and uWSGI when it has no site to run.
EXCEPTION = r"^\w[\w.]*(?:Error|Exception|ImproperlyConfigured)\b"
NOT_LOADED = (
    rf"GAME OVER|failed to open python file|{EXCEPTION}|unable to load app|cannot open shared"
)

# Why uWSGI, or what runs before it, ended: what it says, in the order in which to believe it. The
# messages are those of core/uwsgi.c, core/socket.c, plugins/python and of the shell.
REASONS = {
    "entrypoint-not-executable": r"exec format error|permission denied: unknown|^(?:env: |exec )[^:]*:?.*"
    r"(?:No such file or directory|no such file or directory|[Pp]ermission denied|\\r)",
    "shared-library-missing": r"error while loading shared libraries|version `GLIBC",
    "listen-above-somaxconn": r"Listen queue size is greater than the system max",
    "uwsgi-cannot-bind": r"bind\(\): .*\[core/socket|error removing unix socket",
    "virtualenv-wrong": r"Python Home is not a directory|No module named '?encodings|init_fs_encoding",
    "uwsgi-option-refused": r"unrecognized option|\[strict-mode\]|invalid chmod value|getopt",
    "collectstatic-failed": r"collectstatic",
    "database-host-unknown": r"could not translate host name",
    "database-password-refused": r"password authentication failed",
    "database-refused": r"OperationalError.*Connection refused|connection to server .* failed: Connection refused",
    "app-not-loaded": NOT_LOADED,
}


# What these causes say of a place that only their log line knows.
WORDS = {"place": "the socket's", "where": "the database", "host": "of that name"}


def telling(lines: Sequence[str]) -> str:
    """Return the line that says most of why uWSGI ended."""
    return next(
        (line for line in lines if "GAME OVER" not in line and "getopt" not in line), lines[-1]
    )


def not_running(site: Site, state: State) -> Finding:
    """Return why the app does not run: init, the engine or its own log say so."""
    if state.status == "paused":
        return site.broken("app-paused")
    if site.init_failed:
        error = (site.last_lines(site.init, count=1) or ("",))[0]
        return site.broken(
            "init-failed", *site.last_lines(site.init), error=error.removeprefix(f"{site.init}: ")
        )
    if state.out_of_memory and state.exit_code:
        lines = site.last_lines(site.app, "DAMN|memory|max file descriptor")
        return site.broken("app-out-of-memory", str(state), *lines)
    known = reason(site)
    ended_badly = state.restarts or state.error or state.exit_code not in (0, 30, 137, 143)
    if known and ended_badly:
        cause, lines = known
        return site.broken(cause, *lines, **WORDS, error=telling(lines))
    return site.broken("app-not-running", *site.last_lines(site.app), state=state)


def keeps_failing(site: Site) -> bool:
    """Whether the container runs again for the moment, and its last attempt ended for a known reason."""
    state = site.state(site.app)
    if not (state.running and state.keeps_ending and reason(site)):
        return False
    try:
        return not site.straight
    except StackError:
        return True


def reason(site: Site) -> tuple[str, tuple[str, ...]] | None:
    """Return what ended the app's container, as a cause and the lines that say so."""
    error = site.state(site.app).error
    for cause, pattern in REASONS.items():
        lines = site.last_lines(site.app, pattern)
        if error:  # the engine could not start it: what the log has is of an earlier start
            lines = (error,) * bool(re.search(pattern, error))
        if not lines:
            continue
        if cause == "collectstatic-failed":
            lines = site.last_lines(site.app, EXCEPTION)
            if not lines:
                continue
        return cause, lines
    return None


def health(site: Site) -> Finding | None:
    """Return a health check that fails though the service works."""
    for service in (site.app, site.nginx):
        state = site.state(service)
        if state.health != "unhealthy":
            continue
        if service == site.app and site.vassals is not None:
            continue  # it is about all sites of the container
        if service == site.nginx or site.inside.get("load", {}).get("django"):
            log = site.stack.container(service).attrs["State"]["Health"]["Log"] or []
            error = log[-1]["Output"].strip().splitlines()[-1:] if log else []
            if service == site.app and _is_ill(site):
                continue  # it is right
            return site.broken(
                "healthcheck-wrong", *error, service=service, error=" ".join(error) or "no output"
            )
    return None


def _is_ill(site: Site) -> bool:
    """Whether a check that looks further than the front page may be right: later hops say of what."""
    page, report = site.page, site.inside
    parts = [
        report.get(name, {}) for name in ("sqlite", "connect", "migrations", "tables", "media")
    ]
    return (
        page.get("status", 500) >= 500
        or any("error" in part or part.get("missing") for part in parts)
        or any(
            not place.get("writable") for place in report.get("media", {}).get("directories", ())
        )
    )
