"""A small Django site for tests/test_outside.py: ``SETTINGS``, as JSON, says what is different."""

import json
import os

FRONT = """{% load static %}<!doctype html><title>Shop {{ name }}</title>
<link rel="stylesheet" href="{% static 'css/site.css' %}">
<script src="{% static 'js/app.0123456789ab.js' %}" defer></script>
<img src="/media/picture.png" alt=""><a href="{{ url }}">here</a>"""

LOGIN = """<!doctype html><title>Log in to {{ name }}</title><form method="post">{% csrf_token %}{{ form }}</form>"""

NAME = os.environ["SETTINGS"]
ALLOWED_HOSTS = [".localhost"]
SECRET_KEY = "not a secret"
ROOT_URLCONF = "shop_urls"
STATIC_URL = "/static/"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {"front.html": FRONT, "registration/login.html": LOGIN},
                )
            ]
        },
    }
]

globals().update(json.loads(NAME))
