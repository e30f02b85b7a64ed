"""The pages of the shop: some work, some do not."""

import time

from django.conf import settings
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path


def front(request: HttpRequest) -> HttpResponse:
    words = {"name": settings.NAME, "url": request.build_absolute_uri()}
    return render(request, "front.html", words)


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(2)
    return front(request)


def away(request: HttpRequest) -> HttpResponse:
    return redirect(request.build_absolute_uri("/"))


def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("as asked")


class Crash(LoginView):  # type: ignore[misc]
    """A form that can be seen, and not be sent."""

    post = boom


urlpatterns = [
    path("", front),
    path("accounts/login/", LoginView.as_view(extra_context={"name": settings.NAME})),
    path("slow/", slow),
    path("away/", away),
    path("boom/", boom),
    path("crash/", Crash.as_view(extra_context={"name": settings.NAME + " crash"})),
    path("there/", lambda _: redirect("/back/")),
    path("back/", lambda _: redirect("/there/")),
]
