"""
Make sure that every answer is complete or visibly broken, and that each failure writes one line to the log.

When a site raises, uWSGI (plugins/python/wsgi_subhandler.c) logs the traceback as plain text and closes the
connection. nginx has then received nothing (502), or half of the headers, or a truncated body, which it takes for
complete unless there is a Content-Length. So this module sends nothing until the headers are checked and the first
part of the body is there; if either fails, nginx sends its error page. If the body fails later, nginx notices by
the Content-Length and breaks off, too; without one, the connection is kept open, unused, until nginx times out.
"""

import json
import os
import re
import select
import sys
import time
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http.multipartparser import MultiPartParserError

import uwsgi  # exists only inside uWSGI
from stack.request_id import request_id

# What Django raises for a malformed request. Its own page for them (400) fails for some: it reads the form
# again, to check the CSRF token.
OF_THE_CLIENT = (BadRequest, SuspiciousOperation, MultiPartParserError)

# What uWSGI and nginx can forward: RFC 9110 sections 5.1, 5.5 and 15.
STATUS = re.compile(r"[2-5]\d\d( [\t\x20-\x7e\x80-\xff]*)?", re.ASCII)
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
LENGTH = re.compile(r"[0-9]{1,18}")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
HEADERS_SIZE = 16 * 1024  # uwsgi_buffer_size in nginx/uwsgi_request.conf

# nginx buffers this much of an answer, however slow the client is (uwsgi_max_temp_file_size, less a margin).
# Beyond that the worker waits for the client, and if it is killed meanwhile, the truncated answer looks complete.
LONGEST_WITHOUT_LENGTH = 1000 * 2**20

# Headers of the connection, which nginx sets. A view that forwards another server's answer may have copied them.
HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}

# Connections that are kept open. More would bring uWSGI to its max-fd.
MOST_KEPT = 256
kept = []


class BrokenAnswer(Exception):
    """The site's answer cannot be sent; the message says why."""


def log(environ, level, message, error=None, **fields):
    """Write one JSON line, with the id of the request and, where there is one, the exception's traceback."""
    line = {
        "hop": "uwsgi",
        "level": level,
        "message": message,
        **fields,
        "request_id": environ.get("HTTP_X_REQUEST_ID"),
        "time": datetime.now(UTC).isoformat(),
    }
    if error:
        line["exc_info"] = "".join(traceback.format_exception(error))
    sys.stderr.write(json.dumps(line) + "\n")


def checked(site, seconds):
    """Return ``site`` as a WSGI application whose answers are checked, and take at most ``seconds``."""

    def application(environ, start_response):
        request_id.set(environ.get("HTTP_X_REQUEST_ID"))
        # PEP 3333 allows its absence, but some code, such as wsgiref.validate, requires it.
        environ.setdefault("SCRIPT_NAME", "")
        answer = Answer(environ, seconds)
        try:
            head = answer.begin(site)
        except BaseException as error:  # SystemExit, too, which would end the worker
            return answer.refuse(error, start_response)
        start_response(*head)
        return answer

    return application


class Answer:
    """The answer to one request; once it has begun, the iterable of its body (PEP 3333)."""

    def __init__(self, environ, seconds):
        self.environ = environ
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.head = ()  # status and headers, as the site gave them
        self.written = []  # through the callable that start_response returns
        self.body = ()  # the iterable that the site returned
        self.parts = iter(())  # the parts of it still to send
        self.left = None  # bytes still to send; None without a Content-Length
        self.sent = 0  # bytes sent so far
        self.begun = self.ended = False

    def begin(self, site):
        """
        Call the site; return status and headers once they are valid and the body has begun.

        Raise ``BrokenAnswer`` when they cannot be sent, and whatever the site raises.
        """
        self.body = site(self.environ, self.start_response)
        parts = iter(self.body)
        whole = None
        if isinstance(self.body, (list, tuple)) or not getattr(self.body, "streaming", True):
            whole = [checked_part(part) for part in parts]
            parts = iter(whole)
        first = checked_part(next(filter(None, parts), b""))
        self.parts = chain(self.written, [first] if first else (), parts)
        if whole is not None or not first:
            whole = sum(map(len, [*self.written, *(whole or ())]))
        status, headers, length = checked_head(*self.head)
        self.begun = True

        # For HEAD, too, nginx gets a complete body: it does not send it, but needs it to cache the page.
        head = self.environ["REQUEST_METHOD"] == "HEAD"
        if status[:3] in ("204", "304") or (head and not (whole and length in (None, whole))):
            if first and not head:
                log(
                    self.environ,
                    "WARNING",
                    f"left out a body, which an answer {status[:3]} cannot have",
                )
            self.parts = iter(())
            if length is not None and status[:3] != "204":  # RFC 9110 section 8.6
                headers.append(("Content-Length", str(length)))
            return status, headers

        if whole is not None and length not in (None, whole):
            raise BrokenAnswer(f"the body has {whole} bytes, and its Content-Length says {length}")
        self.left = whole if length is None else length
        if self.left is not None:
            headers.append(("Content-Length", str(self.left)))
        else:
            # If the body hangs, nginx must time out before the worker is killed, which nginx would take for its end.
            uwsgi.set_user_harakiri(2 * self.seconds + 4)
        return status, headers

    def start_response(self, status, headers, exc_info=None):
        """Accept status and headers from the site; PEP 3333."""
        if exc_info and self.begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.head and not exc_info:
            raise BrokenAnswer("start_response() was called twice")
        self.head = status, headers
        return self.written.append

    def refuse(self, error, start_response):
        """Answer with nginx's error page (nginx/errors.conf)."""
        if isinstance(error, OF_THE_CLIENT):
            log(self.environ, "WARNING", f"could not read a request: {error}", error)
            status, page = "400 Bad Request", "/.bad-request"
        else:
            log(self.environ, "ERROR", f"an exception left the site: {error!r}", error)
            status, page = "500 Internal Server Error", "/.internal-error"
        self.ended = True
        self.close()
        start_response(status, [("X-Accel-Redirect", page), ("Content-Length", "0")])
        return []

    def __iter__(self):
        return self

    def __next__(self):
        """Return the next part of the body; break the answer off when the site fails."""
        try:
            part = checked_part(next(self.parts))
            if time.monotonic() > self.deadline:
                raise BrokenAnswer(f"it took longer than {self.seconds} s")
            if self.left is not None:
                if len(part) > self.left:
                    raise BrokenAnswer("the body is longer than its Content-Length says")
                self.left -= len(part)
            elif self.sent > LONGEST_WITHOUT_LENGTH:
                raise BrokenAnswer(
                    f"an answer without a Content-Length may have {LONGEST_WITHOUT_LENGTH >> 20} MB: give it one,"
                    " or let nginx send a file (docs/streaming.md)"
                )
            self.sent += len(part)
            return part
        except StopIteration:
            if not self.left:
                self.ended = True
                raise
            self.break_off(BrokenAnswer(f"of the body, {self.left} bytes are missing"))
        except BaseException as error:
            self.break_off(error)
        raise StopIteration

    def break_off(self, error):
        """Log why the answer failed, and make nginx break it off, too."""
        self.ended = True
        log(self.environ, "ERROR", f"broke off an answer: {error!r}", error)
        if self.left is None:
            keep_open(uwsgi.connection_fd())

    def close(self):
        """Close the site's iterable; uWSGI always calls this."""
        if not self.ended and not client_has_left():
            self.break_off(BrokenAnswer("nginx took nothing more of it"))
        try:
            getattr(self.body, "close", bool)()
        except BaseException as error:
            log(self.environ, "ERROR", f"an exception after an answer: {error!r}", error)


def checked_part(part):
    """Return a part of a body; raise ``BrokenAnswer`` if it is not valid."""
    if not isinstance(part, bytes):
        raise BrokenAnswer(f"a part of the body is no bytes, but {type(part).__name__}")
    return part


def checked_head(status=None, headers=()):
    """
    Return the status, the headers without Content-Length, and its value, or ``None``.

    Raise ``BrokenAnswer`` for what cannot be sent.
    """
    if status is None:
        raise BrokenAnswer("start_response() was not called")
    if not is_status(status):
        raise BrokenAnswer(f"the status {status!r} cannot be sent")
    size, length, good = len(status), None, []
    for name, value in headers:
        if not is_name(name):
            raise BrokenAnswer(f"a header with the name {name!r} cannot be sent")
        if not (isinstance(value, str) and VALUE.fullmatch(value)):
            raise BrokenAnswer(f"the header {name} cannot be sent: {value!r}")
        size += len(name) + len(value) + 4
        lower = name.lower()
        if lower == "content-length":
            if not LENGTH.fullmatch(value) or length not in (None, int(value)):
                raise BrokenAnswer(f"the Content-Length {value!r} cannot be sent")
            length = int(value)
        elif lower not in HOP_BY_HOP:
            good.append((name, value))
    if size > HEADERS_SIZE:
        raise BrokenAnswer(f"the headers have {size} bytes, and nginx takes {HEADERS_SIZE}")
    return status, good, length


@lru_cache(1024)  # a site uses few of them
def is_status(text):
    """Return whether a string is a valid status."""
    return isinstance(text, str) and STATUS.fullmatch(text) is not None


@lru_cache(1024)
def is_name(text):
    """Return whether a string is a valid header name."""
    return isinstance(text, str) and NAME.fullmatch(text) is not None


def keep_open(connection):
    """Keep a connection open, unused, until nginx times out; close those on which it already has."""
    others = select.poll()
    for each in kept:
        others.register(each, select.POLLRDHUP)
    left = [each for each, _ in others.poll(0)]
    for each in left or kept[: len(kept) >= MOST_KEPT]:
        kept.remove(each)
        os.close(each)
    kept.append(os.dup(connection))


def client_has_left():
    """Return whether nginx has closed the connection, as it does when its client has."""
    connection = select.poll()
    connection.register(uwsgi.connection_fd(), select.POLLRDHUP)
    return bool(connection.poll(0))
