"""
Report what can only be seen from inside the app container, as one JSON object on stdout.

It is run with the site's Python (3.9 or later), as the user of the uWSGI workers, with their environment
and in their working directory, so that it sees settings, files and database as they do. It uses only the
standard library and the site, and writes nothing. ``whichhop.target.app_service`` runs it, and
``whichhop.target.site_report`` parses its report.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import signal
import site
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

SECONDS = 9  # after which this process is killed, whatever the site does
PAGE_SECONDS = 5  # the same for the process that requests the front page, which may be slow


def read(path: str) -> str:
    """Return the text of a file; "" if it cannot be read."""
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def problem(error: BaseException) -> dict[str, Any]:
    """Return the last line of an exception, and the line of the site's own code that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "-packages/" not in f.filename and f.filename[:1] != "<"]
    own = [f for f in own if "/lib/python" not in f.filename]
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else ""
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    return {"error": text, "type": type(error).__name__, "place": place}


# -- uWSGI


def uwsgi_options(pid: int, command: list[str], workdir: str) -> dict[str, list[str]]:
    """
    Return the options of a uWSGI process, from its command line, environment and ini files.

    ``command`` is the container's command, for a uWSGI that has overwritten its own command line
    (auto-procname). Relative paths are also looked up in the directory where it was started.

    https://uwsgi-docs.readthedocs.io/en/latest/Configuration.html
    """
    options: dict[str, list[str]] = {}

    def value_of(match: re.Match[str]) -> str:
        if match[1] is not None:
            return os.environ.get(match[1], "")
        return options.get(match[2], [match[0]])[-1]

    def add(name: str, value: str, file: str = "") -> None:
        value = re.sub(r"\$\((\w+)\)|%\(([\w-]+)\)", value_of, value.strip())
        words = {"%": "%"}
        if file:
            words |= {"d": str(Path(file).resolve().parent) + "/", "n": Path(file).stem}
        value = re.sub(r"%(.)", lambda match: words.get(match[1], match[0]), value)
        options.setdefault(name.strip().replace("_", "-"), []).append(value)

    words = read(f"/proc/{pid}/cmdline").split("\0")[:-1]
    if not any(Path(word).name.startswith("uwsgi") for word in words[:2]):
        words = command
    while words and not Path(words.pop(0)).name.startswith("uwsgi"):
        pass  # an interpreter, a script
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        short = {"-s": "socket", "-w": "module", "-p": "processes", "-M": "master", "-H": "home"}
        if word.startswith("-"):
            takes = not equals and words and not words[0].startswith("-")
            add(short.get(name, name.lstrip("-")), words.pop(0) if takes else value)
        elif word.endswith(".ini"):
            add("ini", word)
    for name, value in os.environ.items():
        if name.startswith("UWSGI_"):
            add(name[6:].lower(), value)
    places = (Path.cwd(), Path(workdir or "/"), Path(os.environ.get("PWD", "/")))
    files = [file.partition(":")[0] for file in options.get("ini", [])]
    found = [[place / file for place in places if (place / file).exists()] for file in files]
    options["ini"] = [str(paths[0]) for paths in found if paths]
    for file in options["ini"]:
        for line in ini(file):
            name, _, value = line.partition("=")
            add(name, value, file)
    return options


def ini(file: str) -> list[str]:
    """Return the lines with options in an ini file's section [uwsgi]."""
    found, section = [], ""
    for line in read(file).splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[uwsgi]" and "=" in line and line.lstrip()[:1] not in (";", "#"):
            found.append(line)
    return found


def misspelt(program: str, options: dict[str, list[str]]) -> list[str]:
    """
    Return unknown options in ini files, which uWSGI ignores without ``strict``.

    Names that another line uses as %(name) are variables, not options.
    """
    if "strict" in options:
        return []
    if "uwsgi" not in program:
        program = "uwsgi"  # uWSGI as a Python extension, with a script of that name
    plugins = [f"--plugin={name}" for key in ("plugin", "plugins") for name in options.get(key, [])]
    call = [program, *plugins, "--help"]  # a plugin's options are known only once it is loaded
    listing = subprocess.run(call, capture_output=True, text=True, timeout=3).stdout
    known = set(re.findall(r"--([\w-]+)", listing))
    lines = [line for file in options.get("ini", []) for line in ini(file)]
    used = {name for line in lines for name in re.findall(r"%\(([\w-]+)\)", line)}
    given = {line.partition("=")[0].strip() for line in lines}
    return sorted(given - known - used) if len(known) > 100 else []


# Options of which uWSGI uses only the leading digits and silently drops the rest.
NUMBERS = (
    "buffer-size", "cheaper", "harakiri", "http-timeout", "limit-post", "listen", "max-fd",
    "max-requests", "max-vars", "post-buffering", "processes", "reload-mercy", "reload-on-as",
    "reload-on-rss", "socket-timeout", "threads", "worker-reload-mercy", "workers",
)  # fmt: skip


def uwsgi(program: str, options: dict[str, list[str]]) -> dict[str, Any]:
    """Return the options of uWSGI that the hops check. They contain no secret."""
    wanted = (
        "die-on-term", "hook-master-start", "stats", "stats-server",
        "logdate", "log-date", "log-prefix", "log-encoder",
    )  # fmt: skip
    values = {name: options[name][-1] for name in NUMBERS if options.get(name)}
    try:
        wrong = misspelt(program, options)
    except (OSError, subprocess.SubprocessError):
        wrong = []  # without --help, unknown options cannot be found
    return {
        "options": {name: options[name] for name in wanted if name in options},
        "misspelt": wrong,
        "numbers": {n: v for n, v in values.items() if re.fullmatch(r"\d+\D.*", v)},
    }


def load_site(options: dict[str, list[str]]) -> dict[str, Any]:
    """Load the WSGI module as uWSGI does, so that the same settings are found."""
    # Code for uWSGI may import these modules, which exist only there.
    sys.modules["uwsgi"] = sys.modules["uwsgidecorators"] = mock.MagicMock()
    for name in ("virtualenv", "venv", "home", "pyhome"):
        for home in options.get(name, []):
            for packages in Path(home).glob("lib/python3*/site-packages"):
                site.addsitedir(str(packages))
    for name in ("chdir", "chdir2"):
        for path in options.get(name, []):
            os.chdir(path)
    for name in ("pythonpath", "python-path", "pp"):
        for path in options.get(name, []):
            sys.path.insert(0, path)
    sys.path.insert(0, str(Path.cwd()))
    for pair in options.get("env", []):
        name, _, value = pair.partition("=")
        os.environ[name] = value
    for name in ("module", "wsgi"):
        for module in options.get(name, []):
            __import__(module.partition(":")[0])
            return {"module": module}
    for name in ("wsgi-file", "file"):
        for path in options.get(name, []):
            spec = importlib.util.spec_from_file_location("uwsgi_file", path.partition(":")[0])
            if spec is None or spec.loader is None:
                raise FileNotFoundError(path)
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
            return {"module": path}
    for mount in options.get("mount", []):
        module = mount.partition("=")[2]
        if not module.endswith(".py"):
            __import__(module.partition(":")[0])
            return {"module": module}
    raise LookupError("uWSGI's options name no module, wsgi-file or mount that could be loaded")


# -- Django


def set_up() -> dict[str, Any]:
    """Load the apps, as get_wsgi_application() does: a WSGI module may do so only at the first request."""
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()
    return {}


def settings() -> dict[str, Any]:
    """Return the settings on which the hops must agree. They contain no secret."""
    from django.conf import settings

    names = (
        "DEBUG", "ALLOWED_HOSTS", "STATIC_URL", "MEDIA_URL", "MEDIA_ROOT",
        "SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST",
        "CSRF_TRUSTED_ORIGINS", "CSRF_COOKIE_SECURE", "CSRF_COOKIE_NAME",
    )  # fmt: skip
    found = {name: getattr(settings, name, None) for name in names}
    for name in ("STATIC_URL", "MEDIA_URL", "MEDIA_ROOT"):
        found[name] = str(found[name] or "")
    default = settings.DATABASES.get("default") or {"ENGINE": "", "NAME": ""}
    found["DATABASE"] = {
        "engine": default["ENGINE"],
        "name": str(default["NAME"]),
        "host": str(default.get("HOST", "")),
        "port": str(default.get("PORT", "")),
    }
    # The first host that it allows; "localhost" if it allows any.
    hosts = [name.lstrip(".") for name in settings.ALLOWED_HOSTS if "*" not in name]
    any_host = settings.DEBUG or "*" in settings.ALLOWED_HOSTS or "localhost" in hosts
    found["host"] = "localhost" if any_host or not hosts else hosts[0]
    try:
        found["has_secret_key"] = bool(settings.SECRET_KEY)
    except Exception:  # Django itself raises if it is empty
        found["has_secret_key"] = False
    return found


def urls() -> dict[str, Any]:
    """Import the URLconf, as the first request does, and return the login URLs."""
    from django.urls import NoReverseMatch, get_resolver, reverse

    def patterns(resolver: Any) -> None:
        for pattern in resolver.url_patterns:
            if hasattr(pattern, "url_patterns"):
                patterns(pattern)

    patterns(get_resolver())
    for name in ("admin:login", "login", "account_login"):
        with contextlib.suppress(NoReverseMatch):
            return {"login": reverse(name)}
    return {"login": ""}


def log_handlers() -> dict[str, Any]:
    """Return whether an exception in a view reaches a log while DEBUG is off."""
    import logging

    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "", None, None)
    logger: logging.Logger | None = logging.getLogger("django.request")
    names = []
    while logger:
        for handler in logger.handlers:
            passes = handler.level <= logging.ERROR and all(
                f.filter(record) if hasattr(f, "filter") else f(record) for f in handler.filters
            )
            if passes and type(handler).__name__ not in ("AdminEmailHandler", "NullHandler"):
                names.append(type(handler).__name__)
        logger = logger.parent if logger.propagate else None
    return {"handlers": names}


def page(host: str) -> dict[str, Any]:
    """Answer a request for / in this process, to see an exception that is not logged."""
    from django.conf import settings
    from django.test import Client

    secure = bool(settings.SECURE_SSL_REDIRECT)
    answer = Client(SERVER_NAME=host).get("/", secure=secure, HTTP_HOST=host)
    return {"status": answer.status_code}


# -- files


def access(path: Path) -> dict[str, Any]:
    """Return owner and mode of a path, and whether this user may read and write it."""
    try:
        status = path.stat()
        room = os.statvfs(path)
    except OSError as error:
        return {"path": str(path), "error": error.strerror}
    return {
        "path": str(path),
        "mode": f"{status.st_mode & 0o7777:04o}",
        "owner": f"{status.st_uid}:{status.st_gid}",
        "readable": os.access(path, os.R_OK),
        "writable": os.access(path, os.W_OK),
        # A total of 0 means "not known": some file systems report no size, or no number of inodes.
        "full": (room.f_blocks > 0 and room.f_bavail * room.f_frsize < 64 * 1024)
        or (room.f_files > 0 and room.f_favail == 0),
    }


def static_sample() -> dict[str, Any]:
    """
    Return one static file: its URL, the collected file, and the file that it was collected from.

    It is the admin's style sheet, or else the first style sheet that is found.
    """
    from django.conf import settings
    from django.contrib.staticfiles import finders
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.urls import NoReverseMatch, reverse

    name = "admin/css/base.css"
    try:
        reverse("admin:index")
        routed = True
    except NoReverseMatch:
        routed = False  # installed but not used
    if not routed or not finders.find(name):
        names = (path for finder in finders.get_finders() for path, _ in finder.list([]))
        own = (path for path in names if not path.startswith("admin/"))
        name = next((path for path in own if path.endswith(".css")), "")
    if not name:
        return {"url": ""}
    source = str(finders.find(name))
    url = str(staticfiles_storage.url(name))  # with or without a hash in the name
    if not url.startswith(settings.STATIC_URL) or url.startswith(("http:", "https:", "//")):
        return {"url": "", "elsewhere": url}
    collected = ""
    with contextlib.suppress(Exception):  # without STATIC_ROOT, there is no path
        collected = str(staticfiles_storage.path(url[len(settings.STATIC_URL) :]))
    hashed = url != settings.STATIC_URL + name
    return {"url": url, "file": collected, "source": source, "hashed": hashed}


def media_sample(root: str) -> dict[str, Any]:
    """
    Return the newest public upload, if any, and the directories that uploads are written to.

    If there is nothing to check, return only the reason.
    """
    from django.apps import apps
    from django.conf import settings
    from django.core.files.storage import FileSystemStorage, default_storage
    from django.db.models import FileField

    if not isinstance(default_storage, FileSystemStorage):
        return {"none": "uploads are not stored on this machine"}
    fields = [field for model in apps.get_models() for field in model._meta.get_fields()]
    if not any(isinstance(field, FileField) for field in fields):
        return {"none": "no model of the site has a file"}
    places = [Path(root)]
    for storage in getattr(settings, "STORAGES", {}).values():
        location = storage.get("OPTIONS", {}).get("location")
        if location and "staticfiles" not in storage.get("BACKEND", ""):
            places.append(Path(location))
    below = [path for place in places if os.access(place, os.R_OK) for path in place.iterdir()]
    # A directory that this user may not enter, such as lost+found, is not for uploads.
    places += [path for path in below if path.is_dir() and os.access(path, os.X_OK)]
    places.append(Path(settings.FILE_UPLOAD_TEMP_DIR or tempfile.gettempdir()))
    if not places[0].exists():  # Django creates it with the first upload, if it may
        places[0] = next(path for path in places[0].parents if path.exists())
    files = [p for p in Path(root).rglob("*") if p.is_file() and not p.name.startswith(".")]
    newest = max(files, key=lambda path: path.stat().st_mtime, default=None)
    return {
        "directories": [access(place) for place in places],
        "newest": str(newest or ""),
        "name": str(newest.relative_to(root)) if newest else "",
    }


# -- the database


def migrations() -> list[str]:
    """Return the names of the migrations that the database lacks."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [str(migration) for migration, _ in plan]


def tables() -> list[str]:
    """Return the tables of the site's models that the database lacks."""
    from django.apps import apps
    from django.db import connection, router

    there = set(connection.introspection.table_names(include_views=True))
    convert = connection.introspection.identifier_converter
    wanted = [
        model._meta.db_table
        for model in apps.get_models()
        if model._meta.managed and router.allow_migrate_model("default", model)
    ]
    # A name with quotes or dots refers to another schema, which is not checked here.
    return [n for n in wanted if convert(n) not in there and not re.search(r'["`.]', n)]


def sqlite(name: str) -> dict[str, Any]:
    """Return the access rights of an SQLite file, and whether the write lock can be taken."""
    beside = [Path(f"{name}{end}") for end in ("-wal", "-shm")]
    places = [Path(name).parent, Path(name), *(path for path in beside if path.exists())]
    report: dict[str, Any] = {"places": [access(place) for place in places]}
    try:
        with contextlib.closing(sqlite3.connect(f"file:{name}?mode=rw", uri=True, timeout=2)) as db:
            db.execute("SELECT count(*) FROM sqlite_master")
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
    except sqlite3.Error as error:
        report["error"] = str(error)
    return report


def connect() -> dict[str, Any]:
    """Connect to a database server; raise what its client library raises."""
    from django.db import connection

    connection.settings_dict.setdefault("OPTIONS", {})
    if "postgresql" in connection.settings_dict["ENGINE"]:
        connection.settings_dict["OPTIONS"]["connect_timeout"] = 3
    connection.ensure_connection()
    return {}


# -- all of it


def beside(
    function: Callable[..., dict[str, Any]], *arguments: Any
) -> Callable[[], dict[str, Any]]:
    """
    Start a function in a forked process; return a function that waits for its result.

    If it does not end in time, the process is killed and the result says so.
    """
    from django.db import connections

    connections.close_all()  # processes cannot share one
    reading, writing = os.pipe()
    if os.fork() == 0:
        signal.alarm(PAGE_SECONDS)
        try:
            result = function(*arguments)
        except BaseException as error:
            result = problem(error)
        os.write(writing, json.dumps(result, default=str).encode())
        os._exit(0)
    os.close(writing)

    def wait() -> dict[str, Any]:
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        late = {"error": f"no answer within {PAGE_SECONDS} s", "type": "TimeoutError", "place": ""}
        found: dict[str, Any] = json.loads(text) if text else late
        return found

    return wait


def report(
    host: str, pid: int, program: str, directory: str, command: list[str], workdir: str
) -> dict[str, Any]:
    """Return all parts of the report; a part that fails is an object with ``error``."""
    found: dict[str, Any] = {}

    def part(name: str, function: Callable[..., dict[str, Any]], *arguments: Any) -> bool:
        try:
            found[name] = function(*arguments)
        except BaseException as error:  # SystemExit, too: a site may do anything
            found[name] = problem(error)
        return "error" not in found[name]

    with contextlib.suppress(OSError):
        os.chdir(directory)  # uWSGI's directory; the probe was started elsewhere
    options = uwsgi_options(pid, command, workdir)
    part("uwsgi", uwsgi, program, options)
    if not part("load", load_site, options):
        return found
    if "django.conf" not in sys.modules:
        found["load"]["django"] = False
        return found
    found["load"]["django"] = True
    if not part("setup", set_up):
        found["load"] = found["setup"]
        return found
    if not part("settings", settings):
        return found
    part("urls", urls)
    part("log", log_handlers)
    part("static", static_sample)
    if root := found["settings"]["MEDIA_ROOT"]:
        part("media", media_sample, root)
    database = found["settings"]["DATABASE"]
    # Django would create a missing database file, and the probe must change nothing.
    if database["engine"].endswith("sqlite3"):
        if not part("sqlite", sqlite, database["name"]):
            return found
    elif database["engine"] and not part("connect", connect):
        return found
    answer = beside(page, host or found["settings"]["host"])
    if database["engine"]:
        part("migrations", lambda: {"missing": migrations()})
        part("tables", lambda: {"missing": tables()})
    part("page", answer)
    return found


if __name__ == "__main__":
    signal.alarm(SECONDS)  # the default action kills the process, even inside C code
    sys.dont_write_bytecode = True
    with contextlib.suppress(OSError):
        # If memory for one more copy of the site runs out, the kernel should kill this process, not a worker.
        Path("/proc/self/oom_score_adj").write_text("1000")
    answer = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        json.dump(report(**json.loads(sys.argv[1])), answer, default=str)
    print(answer.getvalue())
