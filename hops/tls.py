"""Hop `tls`: is the connection what the public address promises?"""

import re
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from hops import certificate
from hops.causes import advice
from hops.client import Client, Origin
from hops.finding import Finding, blocked, ok, unknown
from hops.site import Site

# What nginx says when it cannot use a certificate; ngx_event_openssl.c.
REFUSED = {
    "tls-certificate-missing": r"\[emerg\].*cannot load certificate",
    "tls-key-mismatch": r"\[emerg\].*(?:key values mismatch|SSL_CTX_use_PrivateKey)",
}


def check(site: Site) -> Iterator[Finding]:
    """Yield whether nginx does TLS itself; where it does not, there is nothing here to break."""
    state = site.state(site.nginx)
    if not state.running or site.refusal:
        yield _why_not(site) or blocked("tls", "nginx" if site.refusal else "port")
        return
    plain = {listen.port for listen in site.listens if not listen.tls}
    for inside, _, outside in site.published:
        if 443 in (inside, outside) and inside in plain:
            yield site.broken("tls-plain-port", port=outside, inside=inside)
            return
    if not site.door.url.startswith("https:"):
        yield ok("tls", "no TLS in this stack: plain HTTP, or TLS in front of it")
        return
    yield from _certificate(site)


def _why_not(site: Site) -> Finding | None:
    """Return what is wrong with the certificate for which nginx does not start."""
    lines = site.refusal[-1:]
    for cause, pattern in REFUSED.items():
        if lines and re.search(pattern, lines[0]):
            return site.broken(cause, *lines, error=lines[0])
    return None


def _certificate(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with the certificate that nginx shows for the site's host."""
    door = urlsplit(site.door.url)
    origin = Origin.of(f"https://{site.host_header}")
    client = Client(str(origin), {origin.port: [(door.hostname or "", door.port or 443)]})
    try:
        shown = client.handshake(origin, verify=False)
    except OSError as error:
        yield unknown("tls", f"no TLS connection to {site.door.url} comes about: {error}")
        return
    leaf = shown.chain[0]
    names = certificate.names(leaf)
    if leaf["issuer"] == leaf["subject"] and not names:
        names = [site.host]  # made by hand, for a look: its browser's owner knows
    trusted, problem = True, 0
    try:
        client.handshake(origin, verify=True)
    except ssl.SSLCertVerificationError as error:
        trusted, problem = False, error.verify_code
    words = {"host": site.host, "end": leaf["notAfter"], "names": ", ".join(names) or "nobody"}
    days = certificate.days_left(leaf)
    if days < 0:
        yield site.broken("tls-certificate-expired", **words)
    elif not any(_fits(name, site.host) for name in names):
        yield site.broken("tls-certificate-other-name", **words)
    elif certificate.chain_ends_early(problem, shown.chain):
        issuer = certificate.name(leaf["issuer"])
        yield site.broken("tls-chain-incomplete", issuer=issuer, **words)
    elif days < certificate.SOON:
        yield advice("tls-certificate-ends-soon", days=int(days), **words)
    else:
        by = "" if trusted else ", though this machine does not know who made it"
        yield ok(
            "tls",
            f"{shown.version}; the certificate is for {site.host} until {leaf['notAfter']}{by}",
        )


def _fits(name: str, host: str) -> bool:
    """Return whether a name of a certificate is a host's; RFC 9525 section 6.3."""
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])
