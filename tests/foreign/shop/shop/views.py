# mypy: ignore-errors
"""The front page, an upload, and one page for each way in which a page can hurt its server."""

import ctypes
import time

from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from .models import Product


def front(request):
    names = ", ".join(product.name for product in Product.objects.all()[:10])
    return HttpResponse(f"<h1>The shop</h1><p>{names}</p>")


@csrf_exempt
def upload(request):
    product = Product.objects.create(name="upload", photo=request.FILES["photo"])
    return HttpResponse(product.photo.url)


def boom(request):
    raise RuntimeError("boom")


def slow(request):
    time.sleep(float(request.GET["s"]))
    return HttpResponse("slow")


def memory(request):
    return HttpResponse(str(len(bytearray(b"x") * (int(request.GET["mb"]) << 20))))


def crash(request):
    ctypes.string_at(0)


def big_headers(request):
    return HttpResponse("big", headers={"X-Big": "x" * int(request.GET["n"])})
