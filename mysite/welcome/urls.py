from django.urls import path

from . import views

app_name = "welcome"

urlpatterns = [
    path("", views.landing, name="landing"),
    # The base URL of storages["private"] (settings.STORAGES).
    path("files/<path:name>", views.private_file, name="private-file"),
]
