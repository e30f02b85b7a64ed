"""Hop `tls`, from outside: is the certificate valid, and does plain HTTP redirect to https?"""

import ipaddress
import re
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from whichhop.blackbox.view import View
from whichhop.finding import ANYBODY, Cause, Causes, Finding, by_hand, config, ok
from whichhop.target import certificate as certs
from whichhop.target.client import Answer, Handshake, Origin

CAUSES = Causes(
    {
        "tls-plain-port": Cause(
            "tls",
            "wrong version number; a record too long",
            "{address} speaks plain HTTP, and was asked for TLS.",
            config("put 'ssl' behind this port in nginx's listen, or publish the port that has it"),
        ),
        "https-refused": Cause(
            "tls",
            "connection refused, after a redirect",
            "Plain HTTP leads to {origin}, where nothing takes connections ({error}).",
            config("publish the port of https too, or do not redirect; check the firewall"),
        ),
        "tls-handshake-fails": Cause(
            "tls",
            "secure connection failed",
            "The server breaks off the handshake for {host}: {error}.",
            by_hand(
                "look for a server block with this server_name, 'listen … ssl' and a certificate, and without"
                " ssl_reject_handshake; allow TLS 1.2 and 1.3 (ssl_protocols)"
            ),
        ),
        "tls-certificate-expired": Cause(
            "tls",
            "the browser warns: certificate expired",
            "The certificate for {host} ended on {end}.",
            by_hand("renew it, then nginx -s reload; if it is renewed, nginx was not reloaded"),
        ),
        "tls-certificate-not-yet-valid": Cause(
            "tls",
            "the browser warns: certificate not yet valid",
            "The certificate for {host} begins on {begin}.",
            by_hand("correct the clock of this machine, or of the one that made the certificate"),
        ),
        "tls-certificate-other-name": Cause(
            "tls",
            "the browser warns: wrong name",
            "The certificate is not for {host}, but for {names}.",
            config(
                "get one for {host}; or put it into the server block that has this server_name: without one"
                " the default server's is shown"
            ),
        ),
        "tls-certificate-self-signed": Cause(
            "tls",
            "the browser warns: unknown issuer",
            "The certificate for {host} is signed by itself.",
            by_hand("get one from an authority, such as Let's Encrypt"),
        ),
        "tls-chain-incomplete": Cause(
            "tls",
            "some clients refuse the certificate, browsers often do not",
            "The certificate for {host} comes without the intermediate one of {issuer}.",
            config(
                "ssl_certificate must name the full chain (fullchain.pem), not the certificate alone"
            ),
        ),
        "tls-authority-unknown": Cause(
            "tls",
            "the browser warns: unknown issuer",
            "The certificate for {host} is by {issuer}, whom this machine does not trust.",
            by_hand(
                "get one from a public authority; or give the private one's certificate to every client"
            ),
        ),
        "tls-certificate-refused": Cause(
            "tls",
            "the browser warns",
            "This machine refuses the certificate for {host}: {error}.",
            by_hand("have a new certificate made"),
        ),
        "tls-certificate-ends-soon": Cause(
            "tls",
            "nothing yet",
            "The certificate for {host} ends in {days} days, on {end}.",
            by_hand("find out why it was not renewed; nginx needs a reload to see a new one"),
        ),
        "no-https": Cause(
            "tls",
            "the browser says: not secure",
            "The site is public and speaks plain HTTP: everybody on the way reads along, passwords included.",
            config("serve it by HTTPS"),
        ),
        "no-https-redirect": Cause(
            "tls",
            "the browser says: not secure",
            "The site is there by plain HTTP, too: {url} is answered ({status}), not sent to https.",
            config("in the server block of port 80: return 301 https://$host$request_uri;"),
        ),
        "https-redirect-loses-path": Cause(
            "tls",
            "old links lead to the front page",
            "{url} is redirected to {location}: the path is lost.",
            config("return 301 https://$host$request_uri;"),
        ),
    }
)

broken = partial(CAUSES.broken, ANYBODY)
advice = partial(CAUSES.warning, ANYBODY)

PRIVATE = (".localhost", ".local", ".internal", ".lan", ".test", ".home.arpa")


def check(view: View) -> Iterator[Finding]:
    """Yield the faults of the TLS handshake, the certificate and the redirect to https."""
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
        # nginx answers plain HTTP on a TLS port, too, with an error that says so.
        if answer and not (answer.status == 400 and "HTTPS" in answer.text):
            yield broken("tls-plain-port", error, answer, address=address)
        else:
            why = re.sub(r"\s*\(?_ssl\.c:\d+\)?:?\s*", "", str(error))  # a line of Python's source
            yield broken("tls-handshake-fails", host=origin.host, error=why)
        return

    yield from certificate(view, origin, shown)
    yield from redirect(view, origin)
    end = shown.chain[0]["notAfter"]
    yield ok("tls", f"{shown.version}; the certificate is trusted until {end}")


def public(origin: Origin) -> bool:
    """Return whether a site is public, judged by its name."""
    try:
        return ipaddress.ip_address(origin.host).is_global
    except ValueError:
        return "." in origin.host and not origin.host.endswith(PRIVATE)


def certificate(view: View, origin: Origin, shown: Handshake) -> Iterator[Finding]:
    """Yield why this machine does not trust the certificate, or that it expires soon."""
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
    """Return a one-line description of a certificate."""
    names = ", ".join(certs.names(leaf)) or certs.name(leaf["subject"])
    return f"{names}; by {certs.name(leaf['issuer'])}; {leaf['notBefore']} to {leaf['notAfter']}"


def redirect(view: View, secure: Origin) -> Iterator[Finding]:
    """Yield whether plain HTTP redirects to https and keeps the path; only for the usual port, or if asked to."""
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
    except OSError:  # nothing listening there is not a fault
        return
    location = answer.location
    if not location.startswith("https:"):
        if answer.status == 200 or location.startswith("http:"):
            yield advice("no-https-redirect", answer, url=url, status=answer.status)
    elif path not in location:
        yield advice("https-redirect-loses-path", answer, url=url, location=location)
