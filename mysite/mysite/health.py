"""
Is the site alive, is it ready: two addresses for machines.

``/livez`` costs nothing and anyone may ask. ``/readyz`` works through every part that a page needs;
nginx does not pass it on (nginx/site.conf), so only the health check inside the container
(uwsgi/healthcheck.py) and the harness can ask.
"""

import logging
import tempfile

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

logger = logging.getLogger(__name__)


@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """Return 200 as long as a worker answers and the URLs resolve."""
    return HttpResponse("ok\n", content_type="text/plain")


def database_answers() -> None:
    """Raise unless the database answers over a new connection: an old one outlives a lost file."""
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def migrations_are_applied() -> None:
    """Raise ``RuntimeError`` naming the migrations that the database lacks."""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        raise RuntimeError("not applied: " + ", ".join(str(migration) for migration, _ in missing))


def media_is_writable() -> None:
    """Raise ``OSError`` unless an upload could be stored: right owner, not read-only, not full."""
    places = (
        settings.FILE_UPLOAD_TEMP_DIR,
        settings.MEDIA_ROOT,
        settings.STORAGES["private"]["OPTIONS"]["location"],
    )
    for place in places:
        with tempfile.TemporaryFile(dir=place, buffering=0) as file:
            file.write(b"\0")


CHECKS = {
    "database": database_answers,
    "migrations": migrations_are_applied,
    "media": media_is_writable,
}


@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """Return 200 when every check passes, else 503; the body says for each "ok" or what is wrong."""
    report = {}
    for name, check in CHECKS.items():
        try:
            check()
        except Exception as error:  # whatever it is, the answer is "not ready"
            logger.error("not ready: %s: %s", name, error)
            report[name] = str(error)
        else:
            report[name] = "ok"
    healthy = all(result == "ok" for result in report.values())
    return JsonResponse(report, status=200 if healthy else 503)
