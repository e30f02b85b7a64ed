"""The site, and answers that only WSGI knows: for paths below /wsgi/."""

from wsgiref.validate import validator

from django.core.handlers.wsgi import WSGIHandler

PLAIN = [("Content-Type", "text/plain")]


def none(_environ, _start_response):
    return None


def no_head(_environ, _start_response):
    return [b"a body"]


def words(_environ, start_response):
    start_response("200 OK", PLAIN)
    return ["no bytes"]


def words_later(_environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"bytes\n"
    yield "no bytes"


def no_status(_environ, start_response):
    start_response("fine", PLAIN)
    return [b"x"]


def written(_environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"written, ")
    return [b"returned"]


def late_head(_environ, start_response):
    start_response("200 OK", PLAIN)
    yield b""
    try:
        raise RuntimeError("late")
    except RuntimeError as error:
        start_response("503 Late", PLAIN, (RuntimeError, error, error.__traceback__))
    yield b"late"


apps = [none, no_head, words, words_later, no_status, written, late_head]
PATHS = {f"/wsgi/{app.__name__}": app for app in apps}


site = WSGIHandler.__call__


def call(self, environ, start_response):
    """Answer in the place of Django's own handler."""

    def app(environ, start_response):
        return site(self, environ, start_response)

    if environ["QUERY_STRING"] == "validated":
        app = validator(app)
    return PATHS.get(environ["PATH_INFO"], app)(environ, start_response)


WSGIHandler.__call__ = call
