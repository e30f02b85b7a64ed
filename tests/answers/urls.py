"""Pages that answer badly, each in a way of its own; and good ones of the same kinds."""

import io
import logging
import time
from pathlib import Path

from django.core.signals import request_finished, request_started
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from mysite.urls import urlpatterns as site_urls

import uwsgi

from . import wsgi  # noqa: F401 (it only has to be loaded)


def fail_in_middleware(get_response):
    def middleware(request):
        if "middleware" in request.GET:
            raise RuntimeError("in a middleware")
        return get_response(request)

    return middleware


def fail_at_the_start(environ, **_):
    if environ.get("QUERY_STRING") == "signal":
        raise RuntimeError("in a signal")


request_started.connect(fail_at_the_start)


def finish(_request):
    """Let the answer fail once more, when it has been sent."""
    request_finished.connect(fail_at_the_end)
    return HttpResponse("whole")


def fail_at_the_end(**_):
    request_finished.disconnect(fail_at_the_end)
    raise RuntimeError("in a signal")


def handler500(request):
    if "error-view" in request.GET:
        raise RuntimeError("in the error view")
    return HttpResponse("the site's own error page", status=500)


def raises(_request):
    raise RuntimeError("in a view")


def exits(_request):
    raise SystemExit(3)


def header(_request):
    response = HttpResponse("x")
    response.headers._store["x-bad"] = ("X-Bad", "☃")
    return response


def two_lines(_request):
    response = HttpResponse("x")
    response.headers._store["x-bad"] = ("X-Bad", "a\r\nSet-Cookie: b=c")
    return response


def huge_header(_request):
    return HttpResponse("x", headers={"X-Huge": "x" * (2**16 + 5)})


def reason(_request):
    return HttpResponse("x", reason="☃")


def parts(request):
    """A stream of four parts; the query may say its length, and before which part what happens."""

    def stream():
        for number in map(str, range(4)):
            if request.GET.get("raise") == number:
                raise RuntimeError("in a generator")
            if request.GET.get("sleep") == number:
                time.sleep(float(request.GET.get("seconds", 2.2)))
            yield b"part\n" * 1000

    headers = {"Content-Length": request.GET["length"]} if "length" in request.GET else {}
    return StreamingHttpResponse(stream(), headers=headers)


def short(_request):
    return HttpResponse("x" * 10, headers={"Content-Length": "20"})


def long(_request):
    return HttpResponse("x" * 20, headers={"Content-Length": "10"})


def no_number(_request):
    return HttpResponse("x", headers={"Content-Length": "many"})


def nothing_to_say(_request):
    return HttpResponse("a body", status=204)


def hop_by_hop(_request):
    return HttpResponse(
        "x", headers={"Transfer-Encoding": "chunked", "Connection": "close", "Keep-Alive": "x"}
    )


def file(_request):
    return FileResponse(Path(__file__).open("rb"))


def buffer(_request):
    return FileResponse(io.BytesIO(b"buffer"))


def accel(request):
    return HttpResponse(headers={"X-Accel-Redirect": request.GET["to"]})


def options(_request):
    """What libraries see of uWSGI's options."""
    return JsonResponse({name: str(value) for name, value in uwsgi.opt.items()})


def logs(_request):
    circle = {}
    circle["itself"] = circle
    logging.getLogger("site").warning(
        "ratio",
        extra={
            "value": float("nan"),
            "more": {"deep": [float("inf"), -float("inf")], (1, 2): circle, "big": 10**5000},
            **dict.fromkeys(("level", "logger", "hop", "time", "request_id"), "mine"),
        },
    )
    logging.getLogger("site").warning("%d arguments", "no")
    logging.getLogger("site").warning({"message": "a dict", "level": "mine"})
    return HttpResponse("logged")


views = [
    finish,
    raises,
    exits,
    header,
    two_lines,
    huge_header,
    reason,
    parts,
    short,
    long,
    no_number,
    nothing_to_say,
    hop_by_hop,
    file,
    buffer,
    accel,
    options,
    logs,
]
urlpatterns = [path(f"answers/{view.__name__}", view) for view in views] + site_urls
