"""The addresses of the site. https://docs.djangoproject.com/en/6.1/topics/http/urls/"""

from django.contrib import admin
from django.urls import include, path

from . import health

urlpatterns = [
    path("livez", health.live),
    path("readyz", health.ready),
    path("admin/", admin.site.urls),
    path("", include("welcome.urls")),
]
