"""What a certificate says, as ``getpeercert`` gives it: for the hop `tls`, from inside and from outside."""

import ssl
import time
from typing import Any

SOON = 14  # days

# OpenSSL's numbers: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
NOT_YET_VALID, EXPIRED = 9, 10
SELF_SIGNED, ROOT_UNKNOWN, ISSUER_UNKNOWN, LEAF_ALONE = 18, 19, 20, 21
OTHER_NAME = {62, 64}  # a host name, an IP address


def names(leaf: dict[str, Any]) -> list[str]:
    """Return the hosts that a certificate is for."""
    return [value for _, value in leaf.get("subjectAltName", ())]


def seconds(when: str) -> float:
    """Return a certificate's time as seconds since 1970."""
    return ssl.cert_time_to_seconds(when)


def days_left(leaf: dict[str, Any]) -> float:
    """Return how many days a certificate still has; less than none when it has expired."""
    return (seconds(leaf["notAfter"]) - time.time()) / 86_400


def name(distinguished: Any) -> str:
    """Return a subject or issuer in a few words."""
    parts = dict(pair for relative in distinguished for pair in relative)
    keys = ("organizationName", "commonName", "organizationalUnitName")
    return " ".join(parts[key] for key in keys if key in parts) or "nobody"


def chain_ends_early(problem: int, chain: list[dict[str, Any]]) -> bool:
    """
    Return whether an intermediate certificate is missing, by OpenSSL's number and what was sent.

    A public authority says where its own certificate is: the last one sent is not the end.
    """
    return problem in (ISSUER_UNKNOWN, LEAF_ALONE) and bool(chain[-1].get("caIssuers"))
