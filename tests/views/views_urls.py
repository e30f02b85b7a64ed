"""Views that do what sites do, and what their chain has to cope with."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import etag

NOTE = Path("/tmp/note")  # in memory, and seen by all workers


def note_etag(_request: HttpRequest) -> str:
    """Return the ETag of the note as it is now."""
    return f'"{hashlib.sha256(NOTE.read_bytes() if NOTE.exists() else b"").hexdigest()}"'


@csrf_exempt
@etag(note_etag)
def note(request: HttpRequest) -> HttpResponse:
    """Return a note of more than 2 KB, or save it: with the right ETag only."""
    if request.method == "PUT":
        NOTE.write_bytes(request.body)
        return HttpResponse(status=204)
    text = NOTE.read_text() if NOTE.exists() else ""
    return HttpResponse(json.dumps({"text": text, "more": "x" * 2000}), "application/json")


@csrf_exempt
def form(request: HttpRequest) -> HttpResponse:
    """Read the body as a form, or as a whole."""
    if request.content_type == "":
        return HttpResponse(len(request.body))
    return HttpResponse(len(request.POST) + len(request.FILES))


def fetch(_request: HttpRequest, address: str) -> HttpResponse:
    """Return the address that is the rest of the path."""
    return HttpResponse(address)


def accelerated(_request: HttpRequest) -> HttpResponse:
    """Let nginx send a private file, with all that a view may say of one."""
    answer = HttpResponse(
        headers={
            "X-Accel-Redirect": "/private/file",
            "Content-Type": "application/pdf",
            "Content-Disposition": "attachment; filename=file.pdf",
            "Cache-Control": "private, max-age=600",
            "Expires": "Fri, 01 Jan 2100 00:00:00 GMT",
        }
    )
    for name in ("one", "two"):
        answer.set_cookie(name, "x")
    return answer


SECONDS = int(os.environ["SITE_REQUEST_TIMEOUT"]) * 2 // 3


def events(request):
    def stream():
        yield "retry: 1000\n\n"  # come back after a second
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            yield f"data: {datetime.now():%X}\n\n"
            time.sleep(1)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(stream(), content_type="text/event-stream", headers=headers)


def stuck(_request: HttpRequest) -> StreamingHttpResponse:
    """Stream for a while, then never end."""

    def parts() -> Iterator[bytes]:
        for _ in range(4):
            yield b"part\n"
            time.sleep(1)
        time.sleep(1000)

    return StreamingHttpResponse(parts())


def large(_request: HttpRequest, megabytes: int) -> StreamingHttpResponse:
    """Stream a page whose length nobody knows."""
    part = bytes(2**20)
    return StreamingHttpResponse(part for _ in range(megabytes))


urlpatterns = [
    path("form", form),
    path("events/", events),
    path("stuck", stuck),
    path("large/<int:megabytes>", large),
    path("accelerated", accelerated),
    path("fetch/<path:address>", fetch),
    path("note", note),
    path("", include("mysite.urls")),
]
