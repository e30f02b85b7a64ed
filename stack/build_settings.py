"""
The site's settings, overridden by those that the image determines. The build of the image collects static files with
these, without any variable or volume. stack/settings.py adds the rest; docs/settings.md lists them all.
"""

import importlib
import os
from typing import Any

from . import logs, paths

# The site's settings module is named in one place: SITE_SETTINGS in compose.yaml.
name = os.environ["SITE_SETTINGS"]
try:
    site = importlib.import_module(name)
except ModuleNotFoundError as error:
    if not f"{name}.".startswith(f"{error.name}."):  # a module that the settings import is missing
        raise
    from django.core.exceptions import ImproperlyConfigured

    raise ImproperlyConfigured(
        f"SITE_SETTINGS is wrong: there is no module {name}; it names the settings of your project."
    ) from None
own = {setting: value for setting, value in vars(site).items() if setting.isupper()}
globals().update(own)

# Placeholders for the build; stack/settings.py sets the real ones.
DEBUG = False
SECRET_KEY = "for the build only"  # noqa: S105


# Before the site's own middleware, so that none of it can block /readyz.
MIDDLEWARE = ["stack.health.HealthMiddleware", *own.get("MIDDLEWARE", [])]

LOGGING = logs.layered(own.get("LOGGING", {}))


# nginx serves these addresses itself (nginx/site.conf).

STATIC_URL = "/static/"
STATIC_ROOT = paths.COLLECTED
MEDIA_URL = "/media/"
MEDIA_ROOT = paths.PUBLIC


# Keep the site's other storages, such as S3; replace Django's FileSystemStorage with ours, in our directory.

djangos = (
    "django.core.files.storage.FileSystemStorage",
    "django.contrib.staticfiles.storage.StaticFilesStorage",
    "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
)


def storage(alias: str, backend: str, **options: Any) -> dict[str, Any]:
    """Return the site's entry of ``STORAGES``, or this one if it is missing or Django's default."""
    theirs: dict[str, Any] = own.get("STORAGES", {}).get(alias, {})
    if theirs.get("BACKEND", djangos[0]) not in djangos:
        return theirs
    return {"BACKEND": backend, "OPTIONS": {**theirs.get("OPTIONS", {}), **options}}


STORAGES = {
    **own.get("STORAGES", {}),
    "default": storage(
        "default",
        "stack.storage.DurableFileSystemStorage",
        location=MEDIA_ROOT,
        base_url=MEDIA_URL,
    ),
    # Private files: a view of the site at this address decides who may read them, nginx sends them.
    "private": storage(
        "private",
        "stack.storage.DurableFileSystemStorage",
        location=paths.PRIVATE,
        base_url="/files/",
    ),
    # Root collects them and the site reads them: static files are not secret.
    "staticfiles": storage(
        "staticfiles",
        "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
        file_permissions_mode=0o644,
        directory_permissions_mode=0o755,
    ),
}

# nginx reads uploads through the group; without this, large uploads would get mode 0600.
FILE_UPLOAD_PERMISSIONS = 0o640
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o750
FILE_UPLOAD_TEMP_DIR = paths.UNFINISHED
