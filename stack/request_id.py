"""
One id for one request, in every log line.

nginx makes the id and hands it down as ``HTTP_X_REQUEST_ID``; a value that the client sent never
gets here (nginx/uwsgi.conf). stack/answers.py takes it, before any middleware, which may log or fail; this
module carries it to the log.
"""

import logging
from contextvars import ContextVar

# Never reset: Django logs a 404 after the last middleware is done. The next request sets it.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIDFilter(logging.Filter):
    """Put the id on each log record, for any formatter."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
