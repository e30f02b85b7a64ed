"""Find out why the app's container does not run or is unhealthy, from the engine, its log or init."""

import re
from collections.abc import Sequence

from whichhop.checks import shared
from whichhop.finding import Cause, Causes, Finding, by_hand, command, config, merge
from whichhop.target.service import State
from whichhop.target.site import Site
from whichhop.target.site_report import Load, Media, Missing, Page, failed
from whichhop.target.stack import StackError

CAUSES = Causes(
    {
        "app-not-running": Cause(
            "uwsgi",
            "502 or 503 at once",
            "The container of the app is not running ({state}).",
            command(
                "docker compose up --wait; its log says why it ended: docker compose logs {app}"
            ),
        ),
        "app-paused": Cause(
            "uwsgi",
            "504 after the time limit",
            "The container of the app is paused.",
            command("docker compose unpause {app}"),
        ),
        "entrypoint-not-executable": Cause(
            "uwsgi",
            "502; the app container ends at once",
            "The container's first program cannot be run: {error}",
            by_hand(
                "chmod +x in the image; line ends of Unix (.gitattributes: *.sh text eol=lf); an interpreter"
                " that the image has"
            ),
        ),
        "shared-library-missing": Cause(
            "uwsgi",
            "502; the app container restarts again and again (127)",
            "uWSGI was built on another base than it runs on: {error}",
            by_hand(
                "build it in the image it runs in, and make 'uwsgi --version' the last step of the build"
            ),
        ),
        "virtualenv-wrong": Cause(
            "uwsgi",
            "502; the app container restarts again and again",
            "The virtualenv that uWSGI is given is none for it: {error}",
            config(
                "correct virtualenv (home) in {ini}; it must be made by the Python that uWSGI was built with"
            ),
        ),
        "uwsgi-option-refused": Cause(
            "uwsgi",
            "502; the app container restarts again and again",
            "uWSGI does not know an option: {error}",
            config("correct its name; a comment in an ini file needs a line of its own"),
        ),
        "uwsgi-cannot-bind": Cause(
            "uwsgi",
            "502; the app container restarts again and again",
            "uWSGI cannot make its socket: {error}",
            by_hand(
                "the directory must be there and belong to the user of uWSGI ({place}); for TCP, no other"
                " program may have the port"
            ),
        ),
        "listen-above-somaxconn": Cause(
            "uwsgi",
            "502; the app container restarts again and again",
            "uWSGI's listen is larger than the container's net.core.somaxconn: {error}",
            config("sysctls: net.core.somaxconn in the Compose file, or a smaller listen"),
        ),
        "app-not-loaded": Cause(
            "uwsgi",
            "502 or 503; the app container restarts again and again",
            "uWSGI cannot load the site and ends: {error}",
            by_hand("correct that, then docker compose up --build --wait"),
        ),
        "collectstatic-failed": Cause(
            "uwsgi",
            "502; the app container ends before uWSGI starts",
            "collectstatic, which runs before uWSGI, fails: {error}",
            by_hand(
                "make the directory STATIC_ROOT in the image and give it to the user of the container before a"
                " volume is mounted there"
            ),
        ),
        "app-out-of-memory": Cause(
            "uwsgi",
            "502 or 503 now and then; the app container restarts",
            "The app was killed because it used more memory than the container may have.",
            config(
                "lower the number of workers, or raise mem_limit of {app} in the Compose file; when it happens at"
                " the start, and uWSGI finds a million file descriptors: max-fd = 4096 in {ini}"
            ),
        ),
        "init-failed": Cause(
            "uwsgi",
            "connection refused or 503 after docker compose up",
            "The app was not started, because {init} failed: {error}",
            by_hand("do what that sentence says, then docker compose up --wait"),
        ),
        "healthcheck-wrong": Cause(
            "uwsgi",
            "the container is unhealthy, though the site works",
            "{service} answers, but its health check fails: {error}",
            config(
                "correct healthcheck: a program that the image has, 127.0.0.1 instead of localhost, a Host that"
                " Django allows; a uwsgi socket answers no HTTP"
            ),
        ),
    }
)

# The last line of a failed Python program, and uWSGI's line when it has no site to run.
EXCEPTION = r"^\w[\w.]*(?:Error|Exception|ImproperlyConfigured)\b"
NOT_LOADED = (
    rf"GAME OVER|failed to open python file|{EXCEPTION}|unable to load app|cannot open shared"
)

# Messages that explain why uWSGI, or what runs before it, ended; the most reliable come first. They are
# from core/uwsgi.c, core/socket.c, plugins/python and the shell.
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
OF_A_START = merge(CAUSES, shared.CAUSES)

# Where the log line holds the place that these causes name.
WORDS = {"place": "the socket's", "where": "the database", "host": "of that name"}


def telling(lines: Sequence[str]) -> str:
    """Return the line that best explains why uWSGI ended."""
    return next(
        (line for line in lines if "GAME OVER" not in line and "getopt" not in line), lines[-1]
    )


def not_running(site: Site, state: State) -> Finding:
    """Return why the app does not run, from init, the engine or its own log."""
    if state.status == "paused":
        return CAUSES.broken(site, "app-paused")
    if site.init and site.init_failed:
        error = (site.init.last_lines(count=1) or ("",))[0]
        return CAUSES.broken(
            site,
            "init-failed",
            *site.init.last_lines(),
            error=error.removeprefix(f"{site.init}: "),
        )
    if state.out_of_memory and state.exit_code:
        lines = site.app.last_lines("DAMN|memory|max file descriptor")
        return CAUSES.broken(site, "app-out-of-memory", str(state), *lines)
    known = reason(site)
    ended_badly = state.restarts or state.error or state.exit_code not in (0, 30, 137, 143)
    if known and ended_badly:
        cause, lines = known
        return OF_A_START.broken(site, cause, *lines, **WORDS, error=telling(lines))
    return CAUSES.broken(site, "app-not-running", *site.app.last_lines(), state=state)


def keeps_failing(site: Site) -> bool:
    """Return whether the container runs again for now, but its last attempt ended for a known reason."""
    state = site.app.state
    if not (state.running and state.keeps_ending and reason(site)):
        return False
    try:
        return not site.visitor.straight
    except StackError:
        return True


def reason(site: Site) -> tuple[str, tuple[str, ...]] | None:
    """Return why the app's container ended: a cause and the log lines that show it."""
    error = site.app.state.error
    for cause, pattern in REASONS.items():
        lines = site.app.last_lines(pattern)
        if error:  # the engine could not start it: the log is from an earlier start
            lines = (error,) * bool(re.search(pattern, error))
        if not lines:
            continue
        if cause == "collectstatic-failed":
            lines = site.app.last_lines(EXCEPTION)
            if not lines:
                continue
        return cause, lines
    return None


def health(site: Site) -> Finding | None:
    """Return that a health check fails although the service works."""
    for service in (site.app, site.nginx):
        if service.state.health != "unhealthy":
            continue
        if service is site.app and site.app.vassals is not None:
            continue  # it covers all sites of the container
        load = None if service is site.nginx else site.app.report.load
        if service is site.nginx or (isinstance(load, Load) and load.django):
            log = service.attributes["State"]["Health"]["Log"] or []
            error = log[-1]["Output"].strip().splitlines()[-1:] if log else []
            if service is site.app and _is_ill(site):
                continue  # the health check is right
            return CAUSES.broken(
                site,
                "healthcheck-wrong",
                *error,
                service=service,
                error=" ".join(error) or "no output",
            )
    return None


def _is_ill(site: Site) -> bool:
    """Return whether a health check that covers more than the front page may be right; later hops say why."""
    report = site.app.report
    parts = (report.connect, report.migrations, report.tables, report.media)
    if any(map(failed, parts)) or not isinstance(report.page, Page) or report.page.status >= 500:
        return True
    if report.sqlite and report.sqlite.error:
        return True
    lacking = (report.migrations, report.tables)
    if any(part.missing for part in lacking if isinstance(part, Missing)):
        return True
    media = report.media
    return isinstance(media, Media) and not all(place.writable for place in media.directories)
