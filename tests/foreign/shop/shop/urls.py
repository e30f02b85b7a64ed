from django.contrib import admin
from django.urls import path

from . import models, views

admin.site.register(models.Product)
urlpatterns = [
    path("", views.front),
    path("admin/", admin.site.urls),
    path("upload/", views.upload),
    path("boom/", views.boom),
    path("slow/", views.slow),
    path("memory/", views.memory),
    path("crash/", views.crash),
    path("big-headers/", views.big_headers),
]
