"""
The settings of the site, safe for production as they stand.

What differs between two installations comes from the environment (variables named ``SITE_…``, set
in ``.env``, passed on by ``compose.yaml``, which also holds their defaults); what does not is
written here. Reference: https://docs.djangoproject.com/en/6.1/ref/settings/
"""

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP
from environs import Env, EnvValidationError, ValidationError
from environs.exceptions import EnvNotSetError

BASE_DIR = Path(__file__).resolve().parent.parent

# The volumes; compose.yaml mounts them.
DATA_DIR = Path("/srv/data")
MEDIA_DIR = Path("/srv/media")


# The environment

ORIGIN = re.compile(r"https?://([a-z0-9][a-z0-9.-]*|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?")


def is_origin(value: str) -> None:
    """Raise ``ValidationError`` unless ``value`` is an address such as https://example.com:8443."""
    try:
        good = ORIGIN.fullmatch(value) and (urlsplit(value).port or True)
    except ValueError:  # a port above 65535, or brackets around what is no IPv6 address
        good = False
    if not good:
        raise ValidationError(f"{value!r} is not an address such as https://example.com.")


def is_ip_address(value: str) -> None:
    """Raise ``ValidationError`` unless ``value`` is an IP address; Compose wants IPv6 in brackets."""
    try:
        ipaddress.ip_address(value.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValidationError(f"{value!r} is not an IP address such as 127.0.0.1.") from None


def is_secure_url(value: str) -> None:
    """Raise ``ValidationError`` unless ``value`` is an address such as https://example.com/directory."""
    if not re.fullmatch(r"https://[\w.-]+(:\d+)?(/[\w./-]*)?", value, re.ASCII):
        raise ValidationError(f"{value!r} is not an address such as https://example.com/directory.")


def are_proxies(value: str) -> None:
    """Raise ``ValidationError`` unless ``value`` is a list of addresses, networks and "host"."""
    for item in value.split(",") if value else []:
        try:
            good = item == "host" or ipaddress.ip_network(item).prefixlen > 0
        except ValueError:
            good = False
        if not good:
            raise ValidationError(f"{item!r} is not an address such as 10.0.0.1 or 10.0.0.0/24.")


def is_true_or_false(value: str) -> None:
    """Raise ``ValidationError`` unless ``value`` is one of those two words: bash reads them as well."""
    if value not in ("true", "false"):
        raise ValidationError(f"{value!r} is neither true nor false.")


def whole_number(most: int, least: int = 1) -> Callable[[str], None]:
    """
    Return a check that raises ``ValidationError`` unless a value is a number from ``least`` to ``most``.

    Digits only: nginx, uWSGI and bash read the same text, and know nothing of 1_000, +5 or 08.
    """

    def check(value: str) -> None:
        if not re.fullmatch(r"0|[1-9][0-9]{0,8}", value) or not least <= int(value) <= most:
            raise ValidationError(f"{value!r} is not a whole number from {least} to {most}.")

    return check


def read_environment() -> dict:
    """
    Return the ``SITE_…`` variables, without that prefix, converted and checked.

    Raise ``ImproperlyConfigured`` with one sentence when a variable is missing, wrong or unknown:
    a typo must stop the start, not be ignored.
    """
    env = Env()
    variables = {
        "URL": (env.list, lambda urls: [is_origin(url) for url in urls or [""]]),
        "DEBUG": (env.bool, None),
        # For nginx, uWSGI and Compose; checked here, so that one place says what is wrong.
        "MAX_UPLOAD_MB": (env.str, whole_number(100_000)),
        "REQUEST_TIMEOUT": (env.str, whole_number(3_600)),
        "CACHE": (env.str, is_true_or_false),
        "WORKERS": (env.str, whole_number(24)),  # more do not fit into mem_limit in compose.yaml
        "BIND": (env.str, is_ip_address),
        "PORT": (env.str, whole_number(65_535)),
        "TRUSTED_PROXIES": (env.str, are_proxies),
        "HSTS_SECONDS": (env.str, whole_number(63_072_000, least=0)),
        # For compose/tls.yaml alone.
        "HTTP_PORT": (env.str, whole_number(65_535)),
        "TLS_CERTIFICATE": (env.str, None),
        "TLS_KEY": (env.str, None),
        "ACME_URL": (env.str, is_secure_url),
    }
    values = {}
    for name, (parse, check) in variables.items():
        try:
            values[name] = parse(f"SITE_{name}", validate=check)
        except EnvNotSetError:
            raise ImproperlyConfigured(f"SITE_{name} is not set; see .env.example.") from None
        except EnvValidationError as error:
            reason = " ".join(error.error_messages)
            raise ImproperlyConfigured(f"SITE_{name} is wrong: {reason}") from None

    for name in os.environ:
        if name.startswith("SITE_") and name.removeprefix("SITE_") not in variables:
            raise ImproperlyConfigured(f"{name} is not a setting; .env.example lists them all.")
    return values


SITE = read_environment()

DEBUG = SITE["DEBUG"]

PUBLIC_URLS = [urlsplit(url) for url in SITE["URL"]]
HTTPS = PUBLIC_URLS[0].scheme == "https"
if len({url.scheme for url in PUBLIC_URLS}) > 1:
    raise ImproperlyConfigured("SITE_URL is wrong: it mixes http and https; use one of them.")

# nginx refuses other hosts before they get here (server_name, made from the same variable).
ALLOWED_HOSTS = [url.netloc.rsplit(":", 1)[0] if url.port else url.netloc for url in PUBLIC_URLS]
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
if "localhost" in ALLOWED_HOSTS:
    ALLOWED_HOSTS += LOOPBACK[1:]

if DEBUG and not {*ALLOWED_HOSTS, SITE["BIND"]} <= set(LOOPBACK):
    raise ImproperlyConfigured(
        "SITE_DEBUG=true shows source code and settings to every visitor: it is refused unless"
        " SITE_URL is http://localhost… and SITE_BIND is 127.0.0.1."
    )

if "host" in SITE["TRUSTED_PROXIES"].split(",") and SITE["BIND"] not in LOOPBACK:
    raise ImproperlyConfigured(
        "SITE_TRUSTED_PROXIES=host believes whoever comes through this machine: it is refused unless"
        " SITE_BIND is 127.0.0.1."
    )


# Application

INSTALLED_APPS = [
    "welcome",  # the sample: delete the folder, this line and its line in urls.py
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "mysite.request_id.RequestIDMiddleware",  # first: every later log line carries the id
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "mysite.urls"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

WSGI_APPLICATION = "mysite.wsgi.application"


# Security. https://docs.djangoproject.com/en/6.1/topics/security/

# Made by uwsgi/init.py at the first start. Without it nothing starts. After the first line come older
# keys, which still count until they are forgotten (scripts/rotate-secret-key).
SECRET_KEY, *SECRET_KEY_FALLBACKS = (DATA_DIR / "secret_key").read_text().split() or [""]

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_TRUSTED_ORIGINS = SITE["URL"]

# Sent with https only. Browsers then refuse plain HTTP for that long, whatever you do: it cannot be
# taken back, so only whoever owns the domain turns it on.
SECURE_HSTS_SECONDS = int(SITE["HSTS_SECONDS"])

SECURE_CSP = {
    "default-src": [CSP.SELF],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, "data:"],  # the admin's icons
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
}

# `check --deploy` warns of these; here each is somebody else's work, or a choice.
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # HSTS: off unless SITE_HSTS_SECONDS says otherwise
    "security.W005",  # … and for this host alone: its subdomains may be somebody else's
    "security.W021",  # … so that it cannot be preloaded
    "security.W008",  # redirect to https: nginx, or the proxy in front of it
]
if not HTTPS:
    SILENCED_SYSTEM_CHECKS += ["security.W012", "security.W016"]  # a secure cookie needs https


# Database. https://docs.djangoproject.com/en/6.1/ref/databases/#sqlite-notes

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        # Workers keep their connection; opening one replays the PRAGMAs below.
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # Wait for another worker's write instead of raising "database is locked", …
            "timeout": 20,
            # … which works only when a transaction asks for the write lock when it begins.
            "transaction_mode": "IMMEDIATE",
            # WAL: readers and the writer do not block each other.
            # synchronous=FULL: each commit waits until the disk has it, so that whatever a visitor was
            # told is saved survives a power cut. NORMAL would spare that wait, a few ms for each write;
            # the database would be as whole after a cut, but lack the commits of the last moments.
            # https://www.sqlite.org/pragma.html#pragma_synchronous
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;",
        },
    }
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]


# Language and time

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"  # Django sets it for the whole process: log lines of every hop then agree
USE_I18N = True
USE_TZ = True


# Static files and uploads. https://docs.djangoproject.com/en/6.1/howto/static-files/

STATIC_URL = "/static/"
# Collected while the image is built. uwsgi/init.py copies it to the volume that nginx reads; the
# manifest stays here, so that an image always finds the names of its own release.
STATIC_ROOT = Path("/collected")

MEDIA_URL = "/media/"
MEDIA_ROOT = MEDIA_DIR / "public"

STORAGES = {
    "default": {"BACKEND": "mysite.storage.DurableFileSystemStorage"},
    # Files that only some may read: the view at PRIVATE_URL decides, nginx sends.
    "private": {
        "BACKEND": "mysite.storage.DurableFileSystemStorage",
        "OPTIONS": {"location": MEDIA_DIR / "private", "base_url": "/files/"},
    },
    # Collected as root, read by the site: static files are no secret.
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}

# nginx reads uploads as a member of the group; big uploads would be 0600 without this.
FILE_UPLOAD_PERMISSIONS = 0o640
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o750
# On the volume of the uploads: the last step of an upload is then a rename, not a copy.
FILE_UPLOAD_TEMP_DIR = MEDIA_DIR / "tmp"


# Logging: one JSON object per line on stderr. https://docs.djangoproject.com/en/6.1/topics/logging/

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "mysite.request_id.RequestIDFilter"}},
    "formatters": {
        "json": {
            "()": "mysite.json_log.JSONFormatter",
            "fmt": "{levelname}{name}{message}{request_id}",
            "style": "{",
            "timestamp": "time",  # UTC, ISO 8601
            "rename_fields": {"levelname": "level", "name": "logger"},
            "static_fields": {"hop": "django"},
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "filters": ["request_id"],
        }
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # Django's own handlers print nothing, or mail, when DEBUG is off: let everything reach the root.
    "loggers": {"django": {"handlers": [], "level": "INFO", "propagate": True}},
}


# Mail: none, and sending fails loudly, until you name a server here and give the container a network
# (network_mode in compose.yaml). https://docs.djangoproject.com/en/6.1/topics/email/

MAILERS = {}
SILENCED_SYSTEM_CHECKS += ["mail.W001"]  # "no default mailer": remove this line with your first one
