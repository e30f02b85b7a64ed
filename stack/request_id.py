"""
One id for one request, in every log line.

nginx makes the id and hands it down as ``HTTP_X_REQUEST_ID``; a value that the client sent never
gets here (nginx/uwsgi.conf). This module only carries it to the log.
"""

import logging
from contextvars import ContextVar
from typing import Any

from django.core.signals import request_started

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def remember(environ: dict[str, Any], **_: Any) -> None:
    """Remember the id of the request that begins."""
    # Before any middleware, which may log or fail. Never reset: Django logs a 404 after the last of them is
    # done. The next request sets it.
    request_id.set(environ.get("HTTP_X_REQUEST_ID"))


request_started.connect(remember)


class RequestIDFilter(logging.Filter):
    """Put the id on each log record, for any formatter."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
