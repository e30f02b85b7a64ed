"""
The settings in the containers (``DJANGO_SETTINGS_MODULE``): the site's own, overridden by the stack's.

Everything that the stack overrides is here and in stack/build_settings.py; docs/settings.md lists it.
What differs between installations comes from the environment (stack/env.py).
https://docs.djangoproject.com/en/6.1/ref/settings/
"""

import os

from . import databases, env, paths
from .build_settings import *  # noqa: F403
from .build_settings import own

try:
    environment = env.read(os.environ)
except env.SettingError as error:
    from django.core.exceptions import ImproperlyConfigured

    raise ImproperlyConfigured(str(error)) from None

DEBUG = environment.debug

# Created by the init job at the first start; without it, nothing starts. After the first line come older keys,
# which are accepted until they are dropped (scripts/rotate-secret-key).
SECRET_KEY, *SECRET_KEY_FALLBACKS = paths.SECRET_KEY.read_text().split() or [""]


# Derived from the site's address. nginx answers only these hosts, and only nginx tells Django whether a request
# came over HTTPS: headers of a client have no influence on that (nginx/uwsgi_params).

ALLOWED_HOSTS = environment.hosts
CSRF_TRUSTED_ORIGINS = [*environment.origins, *own.get("CSRF_TRUSTED_ORIGINS", [])]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = environment.https
SECURE_PROXY_SSL_HEADER = None
USE_X_FORWARDED_HOST = USE_X_FORWARDED_PORT = False
# nginx or the proxy in front of it redirects to HTTPS.
SECURE_SSL_REDIRECT = False

# Sent over HTTPS only. Browsers then refuse plain HTTP for that long, and it cannot be undone, so the owner of
# the domain has to turn it on.
SECURE_HSTS_SECONDS = environment.hsts_seconds or own.get("SECURE_HSTS_SECONDS", 0)


DATABASES = databases.on_the_data_volume(own.get("DATABASES", {}))


# Mail: if the site only pretends to send it (startproject's default prints it), make sending fail loudly
# instead. https://docs.djangoproject.com/en/6.1/topics/email/

pretenders = [
    f"django.core.mail.backends.{name}.EmailBackend"
    for name in ("console", "dummy", "filebased", "locmem")
]
if "MAILERS" in own:
    MAILERS = {
        alias: mailer
        for alias, mailer in own["MAILERS"].items()
        if mailer.get("BACKEND") not in pretenders
    }


# `check --deploy` warns about these; here each is done elsewhere, or is the owner's choice.

SILENCED_SYSTEM_CHECKS = [
    *own.get("SILENCED_SYSTEM_CHECKS", []),
    "security.W004",  # HSTS: off unless SITE_HSTS_SECONDS says otherwise
    "security.W005",  # … and for this host only: its subdomains may belong to others
    "security.W021",  # … so that it cannot be preloaded
    "security.W008",  # redirect to https: nginx, or the proxy in front of it
    "mail.W001",  # no mailer until the site configures one
]
if not environment.https:
    SILENCED_SYSTEM_CHECKS += ["security.W012", "security.W016"]  # a secure cookie needs https
