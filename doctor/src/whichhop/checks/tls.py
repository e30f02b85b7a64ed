"""Hop `tls`: is the connection what the public address promises?"""

import re
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from whichhop.finding import Finding, blocked, ok, unknown
from whichhop.target import certificate
from whichhop.target.client import Client, Origin
from whichhop.target.site import Site

# How lines say how asking for a certificate ended, behind what the project declares to begin them.
OUTCOME = r"gave no certificate for|^nginx has a certificate that is from "

# What nginx says when it cannot use a certificate; ngx_event_openssl.c.
REFUSED = {
    "tls-certificate-missing": r"\[emerg\].*cannot load certificate",
    "tls-key-mismatch": r"\[emerg\].*(?:key values mismatch|SSL_CTX_use_PrivateKey)",
}


def check(site: Site) -> Iterator[Finding]:
    """Yield whether nginx does TLS itself; where it does not, there is nothing here to break."""
    state = site.state(site.nginx)
    if not state.running or site.refusal:
        blamed = blocked("tls", "nginx" if site.refusal else "port")
        yield _why_not(site) or next(_job_failed(site, site.broken), blamed)
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


def _jobs(site: Site) -> Iterator[tuple[str, list[str]]]:
    """Yield each service that sees to the certificate, by its lines, and what it says."""
    if not (beginning := site.declaration.certificates):
        return
    for service in sorted({*site.stack.definition["services"]} - {site.nginx, site.app, site.init}):
        lines = [line for line in site.log(service) if line.startswith(beginning)]
        if lines:
            yield service, [line.removeprefix(beginning) for line in lines]


def _job_failed(site: Site, say: Callable[..., Finding]) -> Iterator[Finding]:
    """Yield that the job before the start of nginx failed: what it said last."""
    for service, lines in _jobs(site):
        state = site.state(service)
        if state.status == "exited" and state.exit_code:
            words = {"service": service, "error": lines[-1]}
            yield say("certificate-job-failed", lines[-1], **words)


def _not_issued(site: Site, say: Callable[..., Finding]) -> Iterator[Finding]:
    """Yield that the ACME server gave no certificate when it was last asked: what it said."""
    for service, lines in _jobs(site):
        last = [n for n, line in enumerate(lines) if re.search(OUTCOME, line)][-1:]
        if not last or "gave no certificate" not in lines[last[0]]:
            continue
        said = [line.removeprefix("| ") for line in lines[last[0] + 1 :] if line.startswith("| ")]
        reasons = [line for line in said if re.search(r"ERROR|detail", line)] or said
        error = (reasons[-1:] or lines[last[0] :])[0].strip()
        words = {"service": service, "error": error}
        yield say("certificate-not-issued", lines[last[0]], *reasons[-3:], **words)


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
    elif leaf["issuer"] == leaf["subject"] and (refused := list(_not_issued(site, site.broken))):
        yield from refused  # nobody's browser believes what nginx has instead
        return
    elif days < certificate.SOON:
        yield site.advice("tls-certificate-ends-soon", days=int(days), **words)
    else:
        by = "" if trusted else ", though this machine does not know who made it"
        yield ok(
            "tls",
            f"{shown.version}; the certificate is for {site.host} until {leaf['notAfter']}{by}",
        )
    yield from _job_failed(site, site.advice)
    yield from _not_issued(site, site.advice)


def _fits(name: str, host: str) -> bool:
    """Return whether a name of a certificate is a host's; RFC 9525 section 6.3."""
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])
