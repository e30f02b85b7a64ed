"""Read certificates in the form of ``getpeercert``; for hop `tls`, from inside and from outside."""

import ssl
import time
from typing import Any

SOON = 14  # days

# OpenSSL's numbers: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
NOT_YET_VALID, EXPIRED = 9, 10
SELF_SIGNED, ROOT_UNKNOWN, ISSUER_UNKNOWN, LEAF_ALONE = 18, 19, 20, 21
OTHER_NAME = {62, 64}  # a host name, an IP address


def names(leaf: dict[str, Any]) -> list[str]:
    """Return the host names and addresses of a certificate."""
    return [value for _, value in leaf.get("subjectAltName", ())]


def seconds(when: str) -> float:
    """Return a time from a certificate as seconds since the epoch."""
    return ssl.cert_time_to_seconds(when)


def days_left(leaf: dict[str, Any]) -> float:
    """Return in how many days a certificate expires; negative if it has expired."""
    return (seconds(leaf["notAfter"]) - time.time()) / 86_400


def name(distinguished: Any) -> str:
    """Return a short name of a subject or issuer."""
    parts = dict(pair for relative in distinguished for pair in relative)
    keys = ("organizationName", "commonName", "organizationalUnitName")
    return " ".join(parts[key] for key in keys if key in parts) or "nobody"


def chain_ends_early(problem: int, chain: list[dict[str, Any]]) -> bool:
    """
    Return whether an intermediate certificate is missing, by OpenSSL's error number and the chain that was sent.

    If the last certificate sent names where its issuer's certificate can be found, the chain is incomplete.
    """
    return problem in (ISSUER_UNKNOWN, LEAF_ALONE) and bool(chain[-1].get("caIssuers"))
