"""The variables of the stack: a wrong, missing or misspelt one is refused with a sentence that names it."""

import re
from collections.abc import Mapping

import pytest

from stack import env
from tests.conftest import ROOT
from tests.support.variables import DEFAULTS, EXAMPLE

Variables = Mapping[str, str | None]  # None: not set


def test_the_example_lists_what_is_read() -> None:
    assert {*DEFAULTS} == {*env.CHECKS}


def test_the_documentation_lists_the_same_settings() -> None:
    row = r"^\| `([A-Z_]+)` \|(?: `([^`]*)`)? \|"
    table = re.findall(row, (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert {**dict(table), "BUILD_CA": EXAMPLE["BUILD_CA"]} == EXAMPLE  # an example, not a default


def test_no_file_mentions_a_setting_that_does_not_exist() -> None:
    # SITE_GID: a build argument, in compose.yaml beside the uids. The others are examples of a site's own.
    known = {*EXAMPLE, "SITE_GID", "SITE_ROOT", "SITE_NAME", "SITE_KEY", "SITE_BASE_URL"}
    places = ("README.md", ".env.example", "compose*.yaml", "Dockerfile.*", "compose/*", "docs/*")
    folders = (
        "scripts/*",
        "certificate/*",
        "nginx/**/*",
        "uwsgi/**/*",
        "stack/**/*",
        "mysite/**/*",
    )
    files = [path for place in places + folders for path in ROOT.glob(place) if path.is_file()]
    assert len(files) > 20
    mentioned = {
        (name, str(path.relative_to(ROOT)))
        for path in files
        for name in re.findall(r"\bSITE_[A-Z][A-Z0-9_]*", path.read_text(errors="replace"))
    }
    assert {(name, path) for name, path in mentioned if name not in known} == set()


BAD: list[tuple[Variables, str]] = [
    *[({name: None}, f"{name} is not set; see .env.example.") for name in DEFAULTS],
    # An address is a scheme, a host and perhaps a port; a path or a name would mean nothing here.
    ({"SITE_URL": ""}, "SITE_URL is wrong: '' is not an address such as https://example.com."),
    ({"SITE_URL": "example.com"}, "SITE_URL is wrong: 'example.com' is not an address"),
    ({"SITE_URL": "http://.example.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "ftp://example.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com/"}, "SITE_URL is wrong: 'https://example.com/' is not an"),
    ({"SITE_URL": "https://example.com/path"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://me:secret@example.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://*.example.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://exa mple.com"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com; return 200"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com:port"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com:123456"}, "SITE_URL is wrong"),
    ({"SITE_URL": "http://localhost:99999"}, "SITE_URL is wrong"),
    ({"SITE_URL": "http://localhost:0"}, "SITE_URL is wrong"),
    ({"SITE_URL": "http://localhost:8٤"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://[::::]"}, "SITE_URL is wrong"),
    ({"SITE_URL": "https://example.com\n"}, r"SITE_URL is wrong: 'https://example.com\n' is not"),
    ({"SITE_BIND": ""}, "SITE_BIND is wrong: '' is not an IP address such as 127.0.0.1."),
    ({"SITE_BIND": "localhost"}, "SITE_BIND is wrong"),
    ({"SITE_URL": "https://example.com,http://localhost"}, "SITE_URL is wrong: it mixes http and"),
    ({"SITE_URL": "https://example.com,"}, "SITE_URL is wrong: '' is not an address"),
    ({"SITE_URL": "https://example.com, https://b.example"}, "' https://b.example' is not an"),
    # Numbers, written so that nginx, uWSGI and bash read the same one as Python.
    ({"SITE_PORT": ""}, "SITE_PORT is wrong"),
    ({"SITE_PORT": "http"}, "SITE_PORT is wrong"),
    ({"SITE_PORT": "0"}, "SITE_PORT is wrong"),
    ({"SITE_PORT": "65536"}, "SITE_PORT is wrong"),
    ({"SITE_HTTP_PORT": "http"}, "SITE_HTTP_PORT is wrong"),
    ({"SITE_HTTP_PORT": "0"}, "SITE_HTTP_PORT is wrong"),
    (
        {"SITE_ACME_URL": ""},
        "SITE_ACME_URL is wrong: '' is not an address such as https://example.com",
    ),
    ({"SITE_ACME_URL": "http://acme.example/directory"}, "SITE_ACME_URL is wrong"),
    ({"SITE_ACME_URL": "https://acme.example/$(id)"}, "SITE_ACME_URL is wrong"),
    # Whom to believe: everybody is not a proxy.
    (
        {"SITE_TRUSTED_PROXIES": "proxy"},
        "'proxy' is not an address such as 10.0.0.1 or 10.0.0.0/24.",
    ),
    ({"SITE_TRUSTED_PROXIES": "0.0.0.0/0"}, "SITE_TRUSTED_PROXIES is wrong"),
    ({"SITE_TRUSTED_PROXIES": "::/0"}, "SITE_TRUSTED_PROXIES is wrong"),
    ({"SITE_TRUSTED_PROXIES": "10.0.0.1/8"}, "SITE_TRUSTED_PROXIES is wrong"),
    ({"SITE_TRUSTED_PROXIES": "10.0.0.1,"}, "SITE_TRUSTED_PROXIES is wrong: '' is not an"),
    ({"SITE_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2"}, "SITE_TRUSTED_PROXIES is wrong"),
    ({"SITE_TRUSTED_PROXIES": "10.0.0.1; allow all"}, "SITE_TRUSTED_PROXIES is wrong"),
    (
        {"SITE_TRUSTED_PROXIES": "10.0.0.1,host", "SITE_BIND": "0.0.0.0"},
        "SITE_TRUSTED_PROXIES=host believes whoever comes through this machine",
    ),
    ({"SITE_HSTS_SECONDS": ""}, "SITE_HSTS_SECONDS is wrong"),
    ({"SITE_HSTS_SECONDS": "-1"}, "SITE_HSTS_SECONDS is wrong"),
    ({"SITE_HSTS_SECONDS": "00"}, "'00' is not a whole number from 0 to 63072000."),
    ({"SITE_MAX_UPLOAD_MB": ""}, "SITE_MAX_UPLOAD_MB is wrong"),
    ({"SITE_MAX_UPLOAD_MB": "75m"}, "SITE_MAX_UPLOAD_MB is wrong"),
    ({"SITE_MAX_UPLOAD_MB": "0"}, "SITE_MAX_UPLOAD_MB is wrong"),
    ({"SITE_REQUEST_TIMEOUT": ""}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": "1.5"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": "-1"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": "08"}, "'08' is not a whole number from 1 to 3600."),
    ({"SITE_REQUEST_TIMEOUT": "1_0"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": "+30"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_REQUEST_TIMEOUT": " 4"}, "SITE_REQUEST_TIMEOUT is wrong"),
    ({"SITE_WORKERS": ""}, "SITE_WORKERS is wrong"),
    ({"SITE_WORKERS": "1٤"}, "SITE_WORKERS is wrong"),
    ({"SITE_WORKERS": "auto"}, "SITE_WORKERS is wrong"),
    ({"SITE_WORKERS": "0"}, "SITE_WORKERS is wrong"),
    ({"SITE_WORKERS": "25"}, "'25' is not a whole number from 1 to 24."),
    # Source code and settings on an error page are for the developer alone.
    ({"SITE_CACHE": ""}, "SITE_CACHE is wrong: '' is neither true nor false."),
    ({"SITE_CACHE": "True"}, "SITE_CACHE is wrong"),
    ({"SITE_CACHE": "on; x"}, "SITE_CACHE is wrong"),
    ({"SITE_DEBUG": ""}, "SITE_DEBUG is wrong"),
    ({"SITE_DEBUG": "maybe"}, "SITE_DEBUG is wrong"),
    ({"SITE_DEBUG": "true", "SITE_URL": "https://example.com"}, "SITE_DEBUG=true shows source"),
    ({"SITE_DEBUG": "true", "SITE_BIND": "0.0.0.0"}, "SITE_DEBUG=true shows source"),
    (
        {"SITE_DEBUG": "true", "SITE_URL": "http://localhost,http://example.com"},
        "SITE_DEBUG=true shows source",
    ),
]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    BAD,
    ids=[",".join(f"{name}={value}" for name, value in variables.items()) for variables, _ in BAD],
)
def test_a_bad_value_is_refused(variables: Variables, sentence: str) -> None:
    given = {name: value for name, value in {**DEFAULTS, **variables}.items() if value is not None}
    with pytest.raises(env.SettingError) as refusal:
        env.read(given)
    message = str(refusal.value)
    assert message.startswith("SITE_")
    assert sentence in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SITE_URL": "https://example.com,https://www.example.com:8443"},
        {"SITE_URL": "http://[::1]:8000", "SITE_BIND": "[::1]", "SITE_DEBUG": "true"},
        {"SITE_DEBUG": "true"},
        {"SITE_DEBUG": "0"},
        {"SITE_TRUSTED_PROXIES": "host"},
        {"SITE_TRUSTED_PROXIES": "192.0.2.1,10.0.0.0/8,2001:db8::1", "SITE_BIND": "0.0.0.0"},
        {"SITE_HSTS_SECONDS": "63072000"},
        {"SITE_SETTINGS": "shop.settings"},
        {"UNRELATED": "is not ours to judge"},
    ],
    ids=str,
)
def test_a_good_value_is_accepted(variables: dict[str, str]) -> None:
    env.read({**DEFAULTS, **variables})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SITE_WORKER", "SITE_WORKERS"),
        ("SITE_Workers", "SITE_WORKERS"),
        ("SITE_URLS", "SITE_URL"),
        ("SITE_PORTS", "SITE_PORT"),
        ("SITE_MAX_UPLOAD", "SITE_MAX_UPLOAD_MB"),
        ("SITE_UPLOAD_MB", "SITE_MAX_UPLOAD_MB"),
        ("SITE_HSTS", "SITE_HSTS_SECONDS"),
        ("SITE_REQUEST_TIME_OUT", "SITE_REQUEST_TIMEOUT"),
        ("SITE_TRUSTED_PROXY", "SITE_TRUSTED_PROXIES"),
        ("SITE_CERTIFICATE", "SITE_TLS_CERTIFICATE"),
        ("SITE_TIMEOUT", "SITE_REQUEST_TIMEOUT"),
        ("SITE_PROXIES", "SITE_TRUSTED_PROXIES"),
        ("SITE_SETTING", "SITE_SETTINGS"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_right_one(name: str, meant: str) -> None:
    sentence = f"{name} is not a setting: did you mean {meant}? .env.example lists them all."
    with pytest.raises(env.SettingError, match=f"^{re.escape(sentence)}$"):
        env.read({**DEFAULTS, name: "4"})


@pytest.mark.parametrize(
    "name",
    [
        "SITE_ROOT",
        "SITE_NAME",
        "SITE_ID",
        "SITE_HOST",
        "SITE_DOMAIN",
        "SITE_TITLE",
        "SITE_EMAIL",
        "SITE_BASE_URL",
        "SITE_SECRET_KEY",
        "SITE_CACHE_URL",
        "SITE_KEY",
        "SITE_LOGO",
        "SITE_",
        "MYSITE_WORKER",
    ],
)
def test_a_name_of_the_sites_own_is_accepted(name: str) -> None:
    env.read({**DEFAULTS, name: "is the site's own"})


@pytest.mark.parametrize(
    ("urls", "https", "hosts"),
    [
        ("http://localhost:8000", False, ["localhost", "127.0.0.1", "[::1]"]),
        ("https://example.com", True, ["example.com"]),
        ("https://a.example,https://b.example:8443", True, ["a.example", "b.example"]),
        ("http://[::1]:8000", False, ["[::1]"]),
    ],
)
def test_scheme_hosts_and_origins_follow_from_the_address(
    urls: str, https: bool, hosts: list[str]
) -> None:
    environment = env.read({**DEFAULTS, "SITE_URL": urls})
    assert (environment.https, environment.hosts) == (https, hosts)
    assert environment.origins == urls.split(",")
