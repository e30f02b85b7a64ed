"""The stack's settings on top of a site's, which know nothing of the stack."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stack import paths
from tests.support.variables import DEFAULTS

# What matters here of the file that `django-admin startproject` 6.1 writes.
STARTPROJECT = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "django-insecure-public"
DEBUG = True
ALLOWED_HOSTS = []
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
TIME_ZONE = "UTC"
STATIC_URL = "static/"
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}
"""

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that gives the stack's settings for a site's and some variables."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "secret_key").write_text("new\nold\nolder")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(paths, "SECRET_KEY", tmp_path / "secret_key")
    for name, value in DEFAULTS.items():
        monkeypatch.setenv(name, value)

    def settings(site: str = "", module: str = "stack.settings", **variables: str) -> ModuleType:
        for name in ("shop", "shop.settings", "stack.build_settings", "stack.settings"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / "shop" / "settings.py").write_text(STARTPROJECT + site)
        for name, value in {"SITE_SETTINGS": "shop.settings", **variables}.items():
            monkeypatch.setenv(name, value)
        importlib.invalidate_caches()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return importlib.import_module(module)

    return settings


def test_what_is_for_development_does_not_count(load: Load) -> None:
    settings = load()
    assert settings.DEBUG is False
    assert settings.SECRET_KEY == "new"
    assert settings.SECRET_KEY_FALLBACKS == ["old", "older"]
    assert settings.ALLOWED_HOSTS == ["localhost", "127.0.0.1", "[::1]"]
    assert settings.MAILERS == {}


def test_debug_is_the_variables(load: Load) -> None:
    assert load("DEBUG = False", SITE_DEBUG="true").DEBUG is True


def test_everything_else_is_the_sites(load: Load) -> None:
    settings = load()
    assert settings.ROOT_URLCONF == "shop.urls"
    assert settings.WSGI_APPLICATION == "shop.wsgi.application"
    assert settings.BASE_DIR.name != "stack"
    # Only settings of Django or of the site: a name of ours would be one to every package that looks.
    ours = {name for name in vars(settings) if name.isupper()} - set(
        vars(load("", "shop.settings"))
    )
    assert ours == {
        "CSRF_COOKIE_SECURE",
        "CSRF_TRUSTED_ORIGINS",
        "FILE_UPLOAD_DIRECTORY_PERMISSIONS",
        "FILE_UPLOAD_PERMISSIONS",
        "FILE_UPLOAD_TEMP_DIR",
        "LOGGING",
        "MEDIA_ROOT",
        "MEDIA_URL",
        "SECRET_KEY_FALLBACKS",
        "SECURE_HSTS_SECONDS",
        "SECURE_PROXY_SSL_HEADER",
        "SECURE_SSL_REDIRECT",
        "SESSION_COOKIE_SECURE",
        "SILENCED_SYSTEM_CHECKS",
        "STATIC_ROOT",
        "STORAGES",
        "USE_X_FORWARDED_HOST",
        "USE_X_FORWARDED_PORT",
    }


def test_the_documentation_lists_what_the_stack_puts_on_top(load: Load) -> None:
    settings = load()
    site = vars(load("", "shop.settings"))
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    changed = {
        name
        for name, value in vars(settings).items()
        if name.isupper() and (name not in site or site[name] != value)
    }
    assert len(changed) > 20
    assert {name for name in changed if f"`{name}`" not in text} == set()


@pytest.mark.parametrize(
    ("url", "secure"), [("http://localhost", False), ("https://a.example", True)]
)
def test_cookies_and_origins_follow_from_the_address(load: Load, url: str, secure: bool) -> None:
    own = "CSRF_TRUSTED_ORIGINS = ['https://partner.example']\nSECURE_SSL_REDIRECT = True\n"
    settings = load(own, SITE_URL=url)
    trusted = settings.CSRF_TRUSTED_ORIGINS
    assert trusted == [url, "https://partner.example"]
    assert settings.SESSION_COOKIE_SECURE is settings.CSRF_COOKIE_SECURE is secure
    assert settings.SECURE_SSL_REDIRECT is False
    assert ("security.W012" in settings.SILENCED_SYSTEM_CHECKS) is not secure


def test_no_header_says_what_the_scheme_is(load: Load) -> None:
    settings = load(
        "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')\nUSE_X_FORWARDED_HOST = True"
    )
    assert settings.SECURE_PROXY_SSL_HEADER is None
    assert settings.USE_X_FORWARDED_HOST is False


@pytest.mark.parametrize(("variable", "seconds"), [("0", 60), ("3600", 3600)])
def test_the_variable_goes_before_the_sites_own_hsts(
    load: Load, variable: str, seconds: int
) -> None:
    sent = load("SECURE_HSTS_SECONDS = 60", SITE_HSTS_SECONDS=variable).SECURE_HSTS_SECONDS
    assert sent == seconds


def test_a_mailer_that_sends_stays(load: Load) -> None:
    settings = load("MAILERS['news'] = {'BACKEND': 'shop.mail.Backend'}\nMAILERS['smtp'] = {}")
    assert settings.MAILERS == {"news": {"BACKEND": "shop.mail.Backend"}, "smtp": {}}
    # To define it would forbid the older settings.
    assert not hasattr(load("del MAILERS; EMAIL_HOST = 'mail.example'"), "MAILERS")


STORE = "stack.storage.DurableFileSystemStorage"
MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"


def test_files_go_to_the_volumes(load: Load) -> None:
    settings = load("MEDIA_ROOT = '/app/media'")
    assert (settings.MEDIA_URL, settings.MEDIA_ROOT) == ("/media/", paths.PUBLIC)
    assert (settings.STATIC_URL, settings.STATIC_ROOT) == ("/static/", paths.COLLECTED)
    backends = {alias: storage["BACKEND"] for alias, storage in settings.STORAGES.items()}
    assert backends == {"default": STORE, "private": STORE, "staticfiles": MANIFEST}
    assert settings.STORAGES["private"]["OPTIONS"]["location"] == paths.PRIVATE


@pytest.mark.parametrize(
    ("own", "alias", "expected"),
    [
        (
            {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {"bucket_name": "b"}},
            "default",
            None,
        ),
        ({"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"}, "staticfiles", None),
        (
            {
                "BACKEND": "django.core.files.storage.FileSystemStorage",
                "OPTIONS": {"location": "/app/media", "allow_overwrite": True},
            },
            "default",
            {
                "BACKEND": STORE,
                "OPTIONS": {
                    "location": paths.PUBLIC,
                    "base_url": "/media/",
                    "allow_overwrite": True,
                },
            },
        ),
    ],
)
def test_a_storage_of_another_kind_stays(
    load: Load, own: dict[str, Any], alias: str, expected: dict[str, Any] | None
) -> None:
    storages = load(f"STORAGES = {{{alias!r}: {own!r}, 'more': {{}}}}").STORAGES
    assert storages[alias] == (expected or own)
    assert {*storages} == {"default", "private", "staticfiles", "more"}


def test_the_build_needs_no_variable_and_no_secret(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.SECRET_KEY.unlink()
    for name in DEFAULTS:
        monkeypatch.delenv(name)
    settings = load(module="stack.build_settings")
    assert settings.STATIC_ROOT == paths.COLLECTED
    assert settings.DEBUG is False


def test_the_middleware_of_the_stack_comes_first(load: Load) -> None:
    assert load().MIDDLEWARE == [
        "stack.health.HealthMiddleware",
        "django.middleware.security.SecurityMiddleware",
    ]


def test_an_import_that_the_sites_settings_lack_is_their_error(load: Load) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        load("import no_such_package")
