"""
Every cause that the harness can name: what a person sees, what is wrong, what to do.

One source for the messages of ``scripts/doctor`` and for docs/causes.md. ``{words}`` in braces are
filled in with what was found. Each entry is a failure that people really have, and each has a test
that injects it into a running stack.
"""

from typing import NamedTuple

from hops.finding import Finding, Verdict


class Cause(NamedTuple):
    """A cause: its hop, what a person sees, what is wrong (one sentence), and the fix."""

    hop: str
    symptom: str
    wrong: str
    fix: str


CAUSES = {
    # -- port
    "stack-not-started": Cause(
        "port",
        "connection refused",
        "The stack is not started: the service {service} has no container.",
        "docker compose up --build --wait",
    ),
    "nginx-not-running": Cause(
        "port",
        "connection refused",
        "The container of nginx is not running ({state}).",
        "docker compose up --wait; its log says why it ended: docker compose logs nginx",
    ),
    "nginx-paused": Cause(
        "port",
        "the browser waits for ever",
        "The container of nginx is paused.",
        "docker compose unpause nginx",
    ),
    "port-taken": Cause(
        "port",
        "docker compose up fails at its end: address already in use",
        "nginx could not be started, because its port is taken: {error}",
        "stop the other program, or set another SITE_PORT in .env; then docker compose up --wait",
    ),
    "port-not-published": Cause(
        "port",
        "connection refused, though nginx runs",
        "nginx runs, but none of its ports is published on this machine.",
        "add a line under ports: of {service} in compose.yaml",
    ),
    "port-answered-by-another": Cause(
        "port",
        "another site answers, or none",
        "Something answers on {address}, but it is not nginx.",
        "look at the image and the command of the service nginx: docker compose config nginx",
    ),
    # -- nginx
    "nginx-config-invalid": Cause(
        "nginx",
        "changes have no effect; the next start fails",
        "nginx refuses the configuration that it would be restarted with: {error}",
        "correct the line named in the message, then docker compose up --build --wait",
    ),
    "nginx-does-not-answer": Cause(
        "nginx",
        "the browser waits for ever",
        "nginx accepts connections, but does not answer within {seconds} s.",
        "docker compose restart nginx; if it comes back, see docker compose logs nginx",
    ),
    "nginx-temp-unwritable": Cause(
        "nginx",
        "small requests work; uploads get 500",
        "nginx's workers ({identity}) may not write to {path}, where large bodies wait.",
        "remove the volume so that it is made anew with the right owner:"
        " docker compose down; docker volume rm {volume}; docker compose up --wait",
    ),
    # -- static
    "static-missing": Cause(
        "static",
        "pages without style; 404 for /static/",
        "{path} is not there: the collected static files of this release are not on the volume.",
        "docker compose run --rm init",
    ),
    "static-permission-denied": Cause(
        "static",
        "pages without style; 403 for /static/",
        "nginx's workers ({identity}) may not read {path}: {blame}.",
        "docker compose run --rm init chmod --recursive u=rwX,go=rX /srv/static",
    ),
    "static-stale": Cause(
        "static",
        "new pages with old style sheets",
        "nginx serves other bytes for {url} than this release collected.",
        "docker compose run --rm init",
    ),
    "static-wrong-type": Cause(
        "static",
        "the browser refuses style sheets or scripts",
        "nginx serves {url} as {type}.",
        "include mime.types in nginx.conf",
    ),
    # -- media
    "media-permission-denied": Cause(
        "media",
        "403 for some or all uploads",
        "nginx's workers ({identity}) may not read {path}: {blame}.",
        "set FILE_UPLOAD_PERMISSIONS = 0o640 in settings.py; for this one: chmod 640",
    ),
    "media-missing": Cause(
        "media",
        "404 for uploads",
        "Django stored {name}, but nginx finds nothing at {path}: they do not see the same volume.",
        "mount the volume media in both services, at the path that nginx's location names",
    ),
    "media-not-writable": Cause(
        "media",
        "500 when somebody uploads",
        "The site may not write to {path} (mode {mode}, owner {owner}), where uploads go.",
        "docker compose exec app chmod 2750 {path}; when the owner is not {user}, give it back to it",
    ),
    # -- socket
    "socket-missing": Cause(
        "socket",
        "503 at once; nginx logs (2: No such file or directory)",
        "There is nothing at {path}.",
        "start the app, docker compose up --wait; if it runs, compare socket in the ini with uwsgi_pass",
    ),
    "socket-stale": Cause(
        "socket",
        "503 at once; nginx logs (111: Connection refused)",
        "A socket is at {path}, but nobody listens: the uWSGI that made it is gone.",
        "docker compose up --wait",
    ),
    "socket-is-a-file": Cause(
        "socket",
        "503 at once; nginx logs (111: Connection refused)",
        "{path} is not a socket but a {kind}.",
        "remove it, then docker compose restart app",
    ),
    "socket-mode": Cause(
        "socket",
        "503 at once; nginx logs (13: Permission denied)",
        "nginx ({identity}) may not connect to {path}: its mode is {mode}, its owner {owner},"
        " and connecting needs the right to write.",
        "set chmod-socket = 660 in uwsgi/mysite.ini, and give both containers the same group",
    ),
    "socket-directory-private": Cause(
        "socket",
        "503 at once; nginx logs (13: Permission denied)",
        "nginx ({identity}) may not enter {path}: its mode is {mode}, its owner {owner}.",
        "give the directory mode 2750 and the group that both containers have (volumes: in compose.yaml)",
    ),
    "socket-queue-full": Cause(
        "socket",
        "503 at once under load; nginx logs (11: Resource temporarily unavailable)",
        "The queue of {path} is full: nobody takes the connections that wait there.",
        "find what keeps the workers busy (the hop uwsgi); then raise SITE_WORKERS",
    ),
    # -- uwsgi
    "app-not-running": Cause(
        "uwsgi",
        "503 at once",
        "The container of the app is not running ({state}).",
        "docker compose up --wait; its log says why it ended: docker compose logs app",
    ),
    "app-paused": Cause(
        "uwsgi",
        "504 after the time limit",
        "The container of the app is paused.",
        "docker compose unpause app",
    ),
    "app-not-loaded": Cause(
        "uwsgi",
        "503; the app container restarts again and again",
        "uWSGI cannot load the site and ends: {error}",
        "correct that, then docker compose up --build --wait",
    ),
    "app-out-of-memory": Cause(
        "uwsgi",
        "502 or 503 now and then; the app container restarts",
        "The app was killed because it used more memory than the container may have.",
        "lower SITE_WORKERS, or raise mem_limit of app in compose.yaml",
    ),
    "init-failed": Cause(
        "uwsgi",
        "connection refused or 503 after docker compose up",
        "The app was not started, because init failed: {error}",
        "do what that sentence says, then docker compose up --wait",
    ),
    "workers-do-not-answer": Cause(
        "uwsgi",
        "504 after the time limit",
        "A request sent straight to the socket got no answer within {seconds} s: all workers are busy"
        " or stuck.",
        "see what they do: docker compose top app; docker compose restart app ends it",
    ),
    # -- django
    "settings-broken": Cause(
        "django",
        "503 or 500 on every page",
        "The site cannot be loaded: {error} ({place}).",
        "correct that line, then docker compose up --build --wait",
    ),
    "page-raises": Cause(
        "django",
        "500 on the page",
        "The front page raises {error} ({place}).",
        "correct that line, then docker compose up --build --wait",
    ),
    "page-fails": Cause(
        "django",
        "500 on the page",
        "The front page is answered with {through} through nginx, with {alone} by the site alone.",
        "where the two differ, nginx answers by itself or tells the site something else: compare"
        " nginx/uwsgi_params; else the site's log has the reason: docker compose logs app",
    ),
    "host-lost": Cause(
        "django",
        "400 on every page, static files work",
        "Django refuses the host that nginx tells it for {host}, which it would accept itself.",
        "set HTTP_HOST in nginx/uwsgi_params to the host and port of the request",
    ),
    "host-refused": Cause(
        "django",
        "400 on every page, static files work",
        "Django refuses the host {host}, under which nginx serves the site: ALLOWED_HOSTS is {allowed}.",
        "make SITE_URL the address that visitors type",
    ),
    "debug-on": Cause(
        "django",
        "error pages show source code",
        "DEBUG is on: an error shows source code and settings to whoever causes it.",
        "remove SITE_DEBUG from .env, then docker compose up --wait",
    ),
    # -- database
    "migrations-missing": Cause(
        "database",
        "500 on pages that use the newest tables",
        "The database lacks {count} migrations, {first} the first.",
        "docker compose run --rm init",
    ),
    "tables-missing": Cause(
        "database",
        "500 on pages that use them",
        "The database has no table {first}, though its migrations count as applied.",
        "restore the database from a backup",
    ),
    "database-missing": Cause(
        "database",
        "500 on every page",
        "There is no database at {path}.",
        "restore it, or make a new one: docker compose run --rm init",
    ),
    "database-not-writable": Cause(
        "database",
        "pages work, logging in gets 500",
        "The site may not write to {path} (mode {mode}, owner {owner}): SQLite needs to write the file"
        " and its directory.",
        "give the volume data to the user of the app container: chown -R {user}",
    ),
    "query-fails": Cause(
        "database",
        "500 on pages that use the table",
        "The front page asks the database for something that it has not: {error} ({place}).",
        "make the migration that is missing, or restore the database from a backup",
    ),
    "database-locked": Cause(
        "database",
        "500 or a long wait when something is saved",
        "Another process holds the database's write lock for more than 2 s.",
        "find it: docker compose top app; a shell or a command left open holds it until it ends",
    ),
    "database-damaged": Cause(
        "database",
        "500 on every page",
        "SQLite cannot use {path}: {error}.",
        "restore the file from a backup",
    ),
    # -- chain
    "request-id-lost": Cause(
        "chain",
        "a request cannot be followed through the logs",
        "The id {request_id} of an answer is not in the log of {service}.",
        "set X-Request-ID in nginx/uwsgi_params, and keep the request_id filter in LOGGING",
    ),
}


def broken(cause: str, *evidence: str, **words: object) -> Finding:
    """
    Return that a hop is broken by a cause of the table, with the words for its braces.

    Raise ``KeyError`` for a cause that is not there, or a word that is missing: mistakes of ours.
    """
    entry = CAUSES[cause]
    wrong, fix = entry.wrong.format(**words), entry.fix.format(**words)
    return Finding(entry.hop, Verdict.BROKEN, wrong, cause, evidence, fix)
