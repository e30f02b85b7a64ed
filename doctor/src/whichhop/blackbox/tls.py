"""Hop `tls`, from outside: is the certificate good, and does plain HTTP lead to https?"""

import ipaddress
import re
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from whichhop.blackbox.causes import advice, broken
from whichhop.blackbox.view import View
from whichhop.finding import Finding, ok
from whichhop.target import certificate as certs
from whichhop.target.client import Answer, Handshake, Origin

PRIVATE = (".localhost", ".local", ".internal", ".lan", ".test", ".home.arpa")


def check(view: View) -> Iterator[Finding]:
    """Yield what is wrong between a client and the certificate, and about the way to https."""
    origin = view.client.origin
    if origin.scheme == "http":
        leads_to = (answer.location for answer in view.visit.answers)
        secure = next((url for url in leads_to if url.startswith("https:")), None)
        if secure is None:
            if public(origin):
                yield advice("no-https")
            yield ok("tls", "plain HTTP was asked for, and nothing leads to https")
            return
        origin = Origin.of(secure)
        if origin.host != view.client.origin.host:
            yield ok("tls", f"plain HTTP leads to {origin}: look there")
            return
    address = f"{origin.host}:{origin.port}"
    try:
        shown = view.client.handshake(origin, verify=False)
    except OSError as error:
        if view.client.origin.scheme == "http" and isinstance(
            error, (ConnectionRefusedError, TimeoutError)
        ):
            yield broken("https-refused", *view.visit.answers, origin=origin, error=error)
            return
        try:
            answer: Answer | None = view.client.ask(str(Origin("http", *origin[1:])))
        except OSError:
            answer = None
        # A TLS port of nginx, too, answers plain HTTP: to say that this is the wrong way.
        if answer and not (answer.status == 400 and "HTTPS" in answer.text):
            yield broken("tls-plain-port", error, answer, address=address)
        else:
            why = re.sub(r"\s*\(?_ssl\.c:\d+\)?:?\s*", "", str(error))  # of Python's own source
            yield broken("tls-handshake-fails", host=origin.host, error=why)
        return

    yield from certificate(view, origin, shown)
    yield from redirect(view, origin)
    end = shown.chain[0]["notAfter"]
    yield ok("tls", f"{shown.version}; the certificate is trusted until {end}")


def public(origin: Origin) -> bool:
    """Whether a site is for strangers, by its name."""
    try:
        return ipaddress.ip_address(origin.host).is_global
    except ValueError:
        return "." in origin.host and not origin.host.endswith(PRIVATE)


def certificate(view: View, origin: Origin, shown: Handshake) -> Iterator[Finding]:
    """Yield why this machine does not trust the certificate, or that it ends soon."""
    leaf, top = shown.chain[0], shown.chain[-1]
    host, seen = origin.host, describe(leaf)
    try:
        view.client.handshake(origin, verify=True)
    except ssl.SSLCertVerificationError as error:
        code = error.verify_code
        if code == certs.EXPIRED:
            ended = min(shown.chain, key=lambda item: certs.seconds(item["notAfter"]))
            yield broken("tls-certificate-expired", seen, host=host, end=ended["notAfter"])
        elif code == certs.NOT_YET_VALID:
            yield broken("tls-certificate-not-yet-valid", seen, host=host, begin=leaf["notBefore"])
        elif code in certs.OTHER_NAME:
            names = ", ".join(certs.names(leaf)) or "nobody"
            yield broken("tls-certificate-other-name", seen, host=host, names=names)
        elif code == certs.SELF_SIGNED:
            yield broken("tls-certificate-self-signed", seen, host=host)
        elif certs.chain_ends_early(code, shown.chain):
            issuer = certs.name(top["issuer"])
            sent = f"{len(shown.chain)} sent; the next one is at {top['caIssuers'][0]}"
            yield broken("tls-chain-incomplete", seen, sent, host=host, issuer=issuer)
        elif code in (certs.ROOT_UNKNOWN, certs.ISSUER_UNKNOWN, certs.LEAF_ALONE):
            yield broken("tls-authority-unknown", seen, host=host, issuer=certs.name(top["issuer"]))
        else:
            error_text = f"{error.verify_message} ({code})"
            yield broken("tls-certificate-refused", seen, host=host, error=error_text)
        return
    days = int(certs.days_left(leaf))
    if days < certs.SOON:
        yield advice("tls-certificate-ends-soon", seen, host=host, days=days, end=leaf["notAfter"])


def describe(leaf: dict[str, Any]) -> str:
    """Return a certificate as one line."""
    names = ", ".join(certs.names(leaf)) or certs.name(leaf["subject"])
    return f"{names}; by {certs.name(leaf['issuer'])}; {leaf['notBefore']} to {leaf['notAfter']}"


def redirect(view: View, secure: Origin) -> Iterator[Finding]:
    """Yield whether plain HTTP leads to https, with the path; only from the usual port, or as asked."""
    asked = view.client.origin
    if asked.scheme == "http":
        base = str(asked)
    elif secure.port == 443:
        base = f"http://{asked.netloc}"
    else:
        return
    path = f"{urlsplit(view.client.url).path}?{view.invented}=1"
    url = base + path
    try:
        answer = view.client.ask(url, timeout=3)
    except OSError:  # nothing there is no fault
        return
    location = answer.location
    if not location.startswith("https:"):
        if answer.status == 200 or location.startswith("http:"):
            yield advice("no-https-redirect", answer, url=url, status=answer.status)
    elif path not in location:
        yield advice("https-redirect-loses-path", answer, url=url, location=location)
