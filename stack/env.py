"""
Read and check the variables of the stack, ``SITE_…``.

They come from ``.env`` or the shell through ``compose.yaml``, which holds the defaults. Those that only nginx,
Compose or the certificate service use are checked here, too, so that all errors are reported in one place,
before anything starts.
"""

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

PREFIX = "SITE_"

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

ORIGIN = re.compile(r"https?://([a-z0-9][a-z0-9.-]*|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?")

TRUE = ("true", "t", "yes", "y", "on", "1")
FALSE = ("false", "f", "no", "n", "off", "0")


class SettingError(ValueError):
    """One sentence that names a variable, what is wrong with it, and what to do."""


def origins(value: str) -> None:
    """Raise ``ValueError`` unless it is a list of addresses such as https://example.com:8443."""
    for item in value.split(","):
        try:
            good = ORIGIN.fullmatch(item) and (urlsplit(item).port or True)
        except ValueError:  # a port above 65535, or brackets without an IPv6 address in them
            good = False
        if not good:
            raise ValueError(f"{item!r} is not an address such as https://example.com.")


def ip_address(value: str) -> None:
    """Raise ``ValueError`` unless it is an IP address; Compose requires brackets around IPv6."""
    try:
        ipaddress.ip_address(value.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(f"{value!r} is not an IP address such as 127.0.0.1.") from None


def secure_url(value: str) -> None:
    """Raise ``ValueError`` unless it is an address such as https://example.com/directory."""
    if not re.fullmatch(r"https://[\w.-]+(:\d+)?(/[\w./-]*)?", value, re.ASCII):
        raise ValueError(f"{value!r} is not an address such as https://example.com/directory.")


def proxies(value: str) -> None:
    """Raise ``ValueError`` unless it is a list of addresses, networks and "host", or empty."""
    for item in value.split(",") if value else []:
        try:
            good = item == "host" or ipaddress.ip_network(item).prefixlen > 0
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"{item!r} is not an address such as 10.0.0.1 or 10.0.0.0/24.")


def switch(value: str) -> None:
    """Raise ``ValueError`` unless it is one of two words, the only ones that nginx's job, in bash, understands."""
    if value not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false.")


def truth(value: str) -> None:
    """Raise ``ValueError`` unless it is one of the usual words for yes and no."""
    if value.lower() not in TRUE + FALSE:
        raise ValueError(f"{value!r} is neither true nor false.")


def whole_number(most: int, least: int = 1) -> Callable[[str], None]:
    """
    Return a check that raises ``ValueError`` unless a value is an integer from ``least`` to ``most``.

    Digits only: nginx, uWSGI and bash read the same text and do not understand 1_000, +5 or 08.
    """

    def check(value: str) -> None:
        if not re.fullmatch(r"0|[1-9][0-9]{0,8}", value) or not least <= int(value) <= most:
            raise ValueError(f"{value!r} is not a whole number from {least} to {most}.")

    return check


def anything(value: str) -> None:
    """Accept any value: the program that uses it checks it."""


CHECKS: dict[str, Callable[[str], None]] = {
    "SITE_URL": origins,
    "SITE_DEBUG": truth,
    "SITE_MAX_UPLOAD_MB": whole_number(100_000),
    "SITE_REQUEST_TIMEOUT": whole_number(3_600),
    "SITE_CACHE": switch,
    "SITE_WORKERS": whole_number(24),  # more do not fit into mem_limit in compose.yaml
    "SITE_BIND": ip_address,
    "SITE_PORT": whole_number(65_535),
    "SITE_TRUSTED_PROXIES": proxies,
    "SITE_HSTS_SECONDS": whole_number(63_072_000, least=0),
    # Used only by compose/tls.yaml and compose/acme.yaml; the certificate service reads the files.
    "SITE_HTTP_PORT": whole_number(65_535),
    "SITE_TLS_CERTIFICATE": anything,
    "SITE_TLS_KEY": anything,
    "SITE_ACME_URL": secure_url,
}
# Set by the image (Dockerfile.app), read by stack/build_settings.py.
OTHERS = ("SITE_SETTINGS",)


@dataclass(frozen=True)
class Environment:
    """The values that the stack's settings and programs take from the variables."""

    urls: list[SplitResult]
    debug: bool
    hsts_seconds: int

    @property
    def https(self) -> bool:
        """Whether visitors use HTTPS, to nginx or to a proxy in front of it."""
        return self.urls[0].scheme == "https"

    @property
    def hosts(self) -> list[str]:
        """The hosts that the site answers, as in ``ALLOWED_HOSTS``."""
        hosts = [url.netloc.rsplit(":", 1)[0] if url.port else url.netloc for url in self.urls]
        return [*hosts, *LOOPBACK[1:]] if "localhost" in hosts else hosts

    @property
    def origins(self) -> list[str]:
        """The origins whose forms the site accepts, as in ``CSRF_TRUSTED_ORIGINS``."""
        return [url.geturl() for url in self.urls]


def refuse_misspelt(names: Mapping[str, str]) -> None:
    """
    Raise ``SettingError`` for a name that is close to one of ours, or is its beginning or end.

    All other names are left to the site: SITE_ROOT, SITE_NAME, SITE_KEY and SITE_BASE_URL are common.
    """
    ours = [name.removeprefix(PREFIX) for name in (*CHECKS, *OTHERS)]
    for name in names:
        own = name.removeprefix(PREFIX)
        if own == name or own in ours or not own:
            continue
        nearly = difflib.get_close_matches(own.upper(), ours, n=1, cutoff=0.85)
        if not nearly and len(own) > 3:
            nearly = [
                each for each in ours if each.startswith(f"{own}_") or each.endswith(f"_{own}")
            ]
        if nearly:
            raise SettingError(
                f"{name} is not a setting: did you mean {PREFIX}{nearly[0]}? .env.example lists them all."
            )


def read(variables: Mapping[str, str]) -> Environment:
    """Return the values of the variables; raise ``SettingError`` if one is missing, wrong or misspelt."""
    for name, check in CHECKS.items():
        if name not in variables:
            raise SettingError(f"{name} is not set; see .env.example.")
        try:
            check(variables[name])
        except ValueError as error:
            raise SettingError(f"{name} is wrong: {error}") from None
    refuse_misspelt(variables)

    environment = Environment(
        urls=[urlsplit(url) for url in variables["SITE_URL"].split(",")],
        debug=variables["SITE_DEBUG"].lower() in TRUE,
        hsts_seconds=int(variables["SITE_HSTS_SECONDS"]),
    )
    bind = variables["SITE_BIND"]
    if len({url.scheme for url in environment.urls}) > 1:
        raise SettingError("SITE_URL is wrong: it mixes http and https; use one of them.")
    if environment.debug and not {*environment.hosts, bind} <= {*LOOPBACK}:
        raise SettingError(
            "SITE_DEBUG=true shows source code and settings to every visitor: it is refused unless"
            " SITE_URL is http://localhost… and SITE_BIND is 127.0.0.1."
        )
    if "host" in variables["SITE_TRUSTED_PROXIES"].split(",") and bind not in LOOPBACK:
        raise SettingError(
            "SITE_TRUSTED_PROXIES=host believes whoever comes through this machine: it is refused"
            " unless SITE_BIND is 127.0.0.1."
        )
    return environment
