"""
What can only be seen from inside the app container, as one JSON object on stdout.

The harness runs this file there with the site's Python, as the user of the uWSGI workers and in
their working directory: it sees settings, files and database as they do. Standard library and the
site itself only; it writes nothing itself. ``hops.site`` runs it and hands its answer to the hops.
"""

import contextlib
import io
import json
import os
import re
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

SECONDS = 10  # then this process is ended, whatever the site does


def read(path: str) -> str:
    """Return the text of a file, empty when it cannot be read."""
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def problem(error: BaseException) -> dict[str, Any]:
    """Return an exception as its last line, and the line of the site's own code that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "-packages/" not in f.filename and f.filename != "<string>"]
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else ""
    text = traceback.format_exception_only(error)[-1].strip()
    return {"error": text, "type": type(error).__name__, "place": place}


def uwsgi_options() -> dict[str, list[str]]:
    """Return the options of the uWSGI that is process 1: its command line and its ini files."""
    options: dict[str, list[str]] = {}

    def add(name: str, value: str) -> None:
        value = re.sub(r"\$\((\w+)\)", lambda match: os.environ.get(match[1], ""), value.strip())
        options.setdefault(name.strip(), []).append(value)

    words = iter(read("/proc/1/cmdline").split("\0")[:-1])
    for word in words:
        name, equals, value = word.partition("=")
        if word.endswith(".ini") and not word.startswith("-"):
            add("ini", word)
        elif word.startswith("-"):
            add(name.lstrip("-"), value if equals else next(words, ""))
    for path in list(options.get("ini", [])):
        section = ""
        for line in read(path).splitlines():
            if line.startswith("["):
                section = line.strip()
            elif section == "[uwsgi]" and "=" in line and line.lstrip()[:1] not in (";", "#"):
                add(*line.split("=", 1))
    return options


def access(path: Path) -> dict[str, Any]:
    """Return what is at a path: owner, mode, and whether this user may read and write it."""
    try:
        status = path.stat()
    except OSError as error:
        return {"path": str(path), "error": error.strerror}
    return {
        "path": str(path),
        "mode": f"{status.st_mode & 0o7777:04o}",
        "owner": f"{status.st_uid}:{status.st_gid}",
        "readable": os.access(path, os.R_OK),
        "writable": os.access(path, os.W_OK),
    }


def load_site(options: dict[str, list[str]]) -> dict[str, Any]:
    """Load the WSGI module as uWSGI does, so that the settings are the ones that it found."""
    # Code that runs in uWSGI may import this module, which exists nowhere else.
    sys.modules["uwsgi"] = mock.MagicMock()
    for path in options.get("chdir", []) + options.get("pythonpath", []):
        sys.path.insert(0, path)
    module = (options.get("module") or options.get("wsgi") or ["wsgi"])[-1]
    __import__(module.partition(":")[0])
    return {"module": module}


def settings() -> dict[str, Any]:
    """Return the settings that decide whether the hops fit together. No secret is among them."""
    from django.conf import settings

    found = {name: getattr(settings, name) for name in ("DEBUG", "ALLOWED_HOSTS", "MEDIA_URL")}
    found["MEDIA_ROOT"] = str(settings.MEDIA_ROOT or "")
    default = settings.DATABASES["default"]
    found["DATABASE"] = {"engine": default["ENGINE"], "name": str(default["NAME"])}
    return found


def page(host: str) -> dict[str, Any]:
    """Answer a request for / here, so that an exception shows which nobody logged."""
    from django.test import Client

    return {"status": Client(SERVER_NAME=host).get("/", headers={"host": host}).status_code}


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
    from django.db import connection

    there = set(connection.introspection.table_names())
    wanted = [model._meta.db_table for model in apps.get_models() if model._meta.managed]
    return [name for name in wanted if name not in there]


def sqlite(name: str) -> dict[str, Any]:
    """Return who may do what with an SQLite file, and whether the write lock can be had."""
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


def static_sample() -> dict[str, Any]:
    """Return the address and the collected file of a static file: the admin's style sheet."""
    from django.conf import settings
    from django.contrib.staticfiles.storage import staticfiles_storage

    url = staticfiles_storage.url("admin/css/base.css")  # with the hash of its content, or without
    name = url.removeprefix(settings.STATIC_URL)
    return {"url": url, "file": str(staticfiles_storage.path(name))}


def media_sample(root: str) -> dict[str, Any]:
    """Return the newest public upload, if any, and the directories that uploads are written to."""
    from django.conf import settings

    places = [Path(root), Path(settings.FILE_UPLOAD_TEMP_DIR or tempfile.gettempdir())]
    for storage in settings.STORAGES.values():
        if location := storage.get("OPTIONS", {}).get("location"):
            places.append(Path(location))
    below = [path for place in places if os.access(place, os.R_OK) for path in place.iterdir()]
    places += [path for path in below if path.is_dir()]
    files = [path for path in Path(root).rglob("*") if path.is_file()]
    newest = max(files, key=lambda path: path.stat().st_mtime, default=None)
    return {
        "directories": [access(place) for place in places],
        "newest": str(newest or ""),
        "name": str(newest.relative_to(root)) if newest else "",
    }


def report(host: str) -> dict[str, Any]:
    """Return all of it; a part that fails is an object with ``error``, the others go on."""
    found: dict[str, Any] = {}

    def part(name: str, function: Callable[..., dict[str, Any]], *arguments: Any) -> bool:
        try:
            found[name] = function(*arguments)
        except BaseException as error:  # SystemExit, too: a site may do anything
            found[name] = problem(error)
        return "error" not in found[name]

    if not part("load", load_site, uwsgi_options()):
        return found
    part("settings", settings)
    part("static", static_sample)
    part("media", media_sample, found["settings"]["MEDIA_ROOT"])
    database = found["settings"]["DATABASE"]
    # Django would make an empty database where there is none, and we change nothing.
    if database["engine"].endswith("sqlite3") and not part("sqlite", sqlite, database["name"]):
        return found
    part("page", page, host)
    part("migrations", lambda: {"missing": migrations()})
    part("tables", lambda: {"missing": tables()})
    return found


if __name__ == "__main__":
    signal.alarm(SECONDS)  # the default action ends the process, also inside C code
    answer = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        json.dump(report(sys.argv[1]), answer)
    print(answer.getvalue())
