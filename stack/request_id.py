"""
Put the request's id into every log line.

nginx creates the id and passes it on as ``HTTP_X_REQUEST_ID``; a value sent by the client never
gets here (nginx/uwsgi.conf). stack/answers.py stores it before any middleware, which may log or fail; this
module adds it to the log records.
"""

import logging
from contextvars import ContextVar

# Never reset, since Django logs a 404 after the last middleware; the next request overwrites it.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIDFilter(logging.Filter):
    """Add the id to each log record, for any formatter."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
