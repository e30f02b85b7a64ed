"""A shop. Django's own LOGGING, and DEBUG off: errors leave no trace but the page."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
FILES = Path(os.environ.get("SHOP_FILES", BASE_DIR))

SECRET_KEY = os.environ["SHOP_SECRET"]
DEBUG = False
ALLOWED_HOSTS = [os.environ["SHOP_HOST"]]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "shop.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
WSGI_APPLICATION = "shop.wsgi.application"

if "SHOP_DB_HOST" in os.environ:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["SHOP_DB_HOST"],
            "PASSWORD": os.environ["SHOP_DB_PASSWORD"],
            "USER": "shop",
            "NAME": "postgres",
        }
    }
else:
    DATABASES = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP_DB_FILE"]}
    }

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = FILES / "static"
MEDIA_URL = "media/"
MEDIA_ROOT = FILES / "media"
