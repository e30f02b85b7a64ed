"""What the load of tests/support/visitors.py asks for; added to a copy of the site by tests/support/releases.py."""

import hashlib
import time

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from .models import Hit
from .name import NAME


def name(request: HttpRequest) -> HttpResponse:
    """Return the name of the release, after as many seconds as the query says."""
    time.sleep(float(request.GET.get("seconds", 0)))
    return HttpResponse(NAME)


def hit(request: HttpRequest) -> HttpResponse:
    """Add a row: not idempotent, as an order or a payment is not. Answers the name it was given."""
    Hit.objects.create(name=request.POST["name"])
    return HttpResponse(request.POST["name"])


def upload(request: HttpRequest) -> HttpResponse:
    """Return the SHA-256 of the file that came."""
    return HttpResponse(hashlib.sha256(request.FILES["file"].read()).hexdigest())


urlpatterns = [
    path("name", name),
    path("hit", csrf_exempt(hit)),
    path("upload", csrf_exempt(upload)),
]
