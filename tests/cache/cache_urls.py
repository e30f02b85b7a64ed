"""A page that is what its query says: headers by their names, ``status``, ``seconds``, …"""

import time
import uuid
from pathlib import Path

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path


def page(request: HttpRequest) -> HttpResponse:
    """Say a word that is new each time, who asks, and what was seen of the request."""
    wanted = request.GET.dict()
    if Path("/tmp", wanted.pop("broken", "-")).exists():
        return HttpResponse(status=500, headers=wanted)
    time.sleep(float(wanted.pop("seconds", 0)))
    status = int(wanted.pop("status", 200))
    words = [uuid.uuid4().hex]
    for name in wanted.pop("say", "").split(","):
        words.append(f"{name}={request.META.get(name)}")
    if counter := wanted.pop("count", None):  # one byte for each call, of whichever worker
        with Path("/tmp", counter).open("ab") as file:
            file.write(b".")
            words.append(f"call={file.tell()}")
    if wanted.pop("user", None):
        words.append(f"user={request.user}")
    words.append("x" * int(wanted.pop("size", 0)))
    answer: type[HttpResponse] | type[StreamingHttpResponse]
    answer = StreamingHttpResponse if wanted.pop("stream", None) else HttpResponse
    return answer("\n".join(words), status=status, headers=wanted)


urlpatterns = [
    re_path("^pages/", page),
    path("", include("mysite.urls")),
]
