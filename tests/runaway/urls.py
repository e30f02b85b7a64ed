"""A site with bad pages: what each of them does must harm nobody else."""

import os
import time

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from mysite.urls import urlpatterns as site_urls


def slow(request):
    time.sleep(float(request.GET.get("seconds", 0.5)))
    return HttpResponse("done")


def endless(_request):
    while True:
        pass


def leak(_request):
    kept = []
    while True:
        kept.append(bytearray(2**24))


def fork(_request):
    """Makes as many processes as it may, none of which ever ends."""
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(1)


def huge(_request):
    return StreamingHttpResponse(b"x" * 2**20 for _ in range(10 * 2**10))


def big(_request):
    return HttpResponse(b"x" * 4 * 2**20)


bad = [slow, endless, leak, fork, huge, big]
urlpatterns = [path(f"bad/{view.__name__}", view) for view in bad] + site_urls
