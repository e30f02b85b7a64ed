"""
The site's settings, with what the image decides on top. Static files are collected with these, while the image
is built: no variable and no volume is needed. stack/settings.py adds the rest; docs/settings.md lists it all.
"""

import importlib
import os
from typing import Any

from . import logs, paths

# The name of the site's own settings module is said once: SITE_SETTINGS in compose.yaml.
name = os.environ["SITE_SETTINGS"]
try:
    site = importlib.import_module(name)
except ModuleNotFoundError as error:
    if not f"{name}.".startswith(f"{error.name}."):  # of something that the settings import
        raise
    from django.core.exceptions import ImproperlyConfigured

    raise ImproperlyConfigured(
        f"SITE_SETTINGS is wrong: there is no module {name}; it names the settings of your project."
    ) from None
own = {setting: value for setting, value in vars(site).items() if setting.isupper()}
globals().update(own)

# The build needs neither; stack/settings.py has the ones that count.
DEBUG = False
SECRET_KEY = "for the build only"  # noqa: S105


# Before all of the site's own: nothing is in the way of /readyz.
MIDDLEWARE = ["stack.health.HealthMiddleware", *own.get("MIDDLEWARE", [])]

LOGGING = logs.layered(own.get("LOGGING", {}))


# What nginx serves itself, at these addresses (nginx/site.conf).

STATIC_URL = "/static/"
STATIC_ROOT = paths.COLLECTED
MEDIA_URL = "/media/"
MEDIA_ROOT = paths.PUBLIC


# A storage of another kind, such as S3, stays; Django's own in a directory becomes ours, in ours.

djangos = (
    "django.core.files.storage.FileSystemStorage",
    "django.contrib.staticfiles.storage.StaticFilesStorage",
    "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
)


def storage(alias: str, backend: str, **options: Any) -> dict[str, Any]:
    """Return an entry of ``STORAGES``: the site's, or, if that is missing or Django's own, this one."""
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
    # Files that only some may read: a view of the site at this address decides, nginx sends.
    "private": storage(
        "private",
        "stack.storage.DurableFileSystemStorage",
        location=paths.PRIVATE,
        base_url="/files/",
    ),
    # Collected as root, read by the site: static files are no secret.
    "staticfiles": storage(
        "staticfiles",
        "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
        file_permissions_mode=0o644,
        directory_permissions_mode=0o755,
    ),
}

# nginx reads uploads as a member of the group; big uploads would be 0600 without this.
FILE_UPLOAD_PERMISSIONS = 0o640
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o750
FILE_UPLOAD_TEMP_DIR = paths.UNFINISHED
