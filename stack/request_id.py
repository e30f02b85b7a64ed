"""
One id for one request, in every log line.

nginx makes the id and hands it down as ``HTTP_X_REQUEST_ID``; a value that the client sent never
gets here (nginx/uwsgi.conf). This module only carries it to the log.
"""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIDMiddleware:
    """Remember the id of the request that is being answered."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        # Never reset: Django logs a 404 after the last middleware is done. The next request sets it.
        request_id.set(request.headers.get("X-Request-ID"))
        return self.get_response(request)


class RequestIDFilter(logging.Filter):
    """Put the id on each log record, for any formatter."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
