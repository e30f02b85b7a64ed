"""
Two endpoints for machines: is the site alive, and is it ready?

``/livez`` is cheap, and anyone may request it. ``/readyz`` checks everything that a page needs; nginx does
not pass it on (nginx/site.conf), so only the health check inside the container (stack/healthcheck.py) and the
tests can request it.

The first middleware answers both, so that no URL or other middleware of the site can interfere.
"""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import get_resolver
from django.views.decorators.cache import never_cache

from . import databases, paths

logger = logging.getLogger(__name__)


@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """Return 200 as long as a worker answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def settings_are_complete() -> None:
    """Raise unless the URLs can be imported and there is a secret key: Django reads both only when needed."""
    get_resolver().url_patterns  # noqa: B018 (reading it imports them)
    settings.SECRET_KEY  # noqa: B018


def has_database() -> bool:
    """Return whether the site has a database at all."""
    return bool(connection.vendor != "unknown")


def database_answers() -> None:
    """Raise unless the database answers on a new connection: an old one still works after its file is deleted."""
    if has_database():
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")


def migrations_are_applied() -> None:
    """Raise ``RuntimeError`` naming the migrations that the database lacks."""
    if not has_database():
        return
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        raise RuntimeError("not applied: " + ", ".join(str(migration) for migration, _ in missing))


def can_write(*directories: Path) -> None:
    """Raise ``OSError`` unless a file can be written to each directory: right owner, not read-only, not full."""
    for directory in directories:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            file.write(b"\0")


def data_is_writable() -> None:
    """Raise ``OSError`` unless SQLite can write: it creates files beside the database."""
    files = (each for each in settings.DATABASES.values() if databases.is_a_file(each))
    can_write(*{Path(each["NAME"]).parent for each in files})


def media_is_writable() -> None:
    """Raise ``OSError`` unless an upload can be stored."""
    can_write(paths.UNFINISHED, paths.PUBLIC, paths.PRIVATE)


CHECKS = {
    "settings": settings_are_complete,
    "database": database_answers,
    "migrations": migrations_are_applied,
    "data": data_is_writable,
    "media": media_is_writable,
}


@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """Return 200 if every check passes, else 503; for each check, the body says "ok" or what is wrong."""
    request.get_host()  # Django answers 400 unless it is one of ALLOWED_HOSTS
    report = {}
    for name, check in CHECKS.items():
        try:
            check()
        except Exception as error:  # any exception means "not ready"
            logger.error("not ready: %s: %s", name, error)
            report[name] = str(error)
        else:
            report[name] = "ok"
    healthy = all(result == "ok" for result in report.values())
    return JsonResponse(report, status=200 if healthy else 503)


ANSWERS = {"/livez": live, "/readyz": ready}


class HealthMiddleware:
    """Answer the two endpoints; pass all other requests to the site."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD") and request.path_info in ANSWERS:
            return ANSWERS[request.path_info](request)
        return self.get_response(request)
