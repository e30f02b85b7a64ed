"""
One id for one request, in every log line.

nginx makes the id and hands it down as ``HTTP_X_REQUEST_ID``; a value that the client sent never
gets here (nginx/uwsgi.conf). This module only carries it to the log.
"""

import logging
from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIDMiddleware:
    """Remember the id of the request that is being answered."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        # Never reset: Django logs a 404 after the last middleware is done. The next request sets it.
        request_id.set(request.headers.get("X-Request-ID"))
        return self.get_response(request)


class RequestIDFilter(logging.Filter):
    """Put the id on each log record; drop ``request``, which no line of JSON can hold."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        record.__dict__.pop("request", None)
        return True
