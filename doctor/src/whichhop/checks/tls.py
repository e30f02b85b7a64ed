"""Hop `tls`: does the connection match the public URL?"""

import re
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from whichhop.finding import Cause, Causes, Finding, blocked, by_hand, config, ok, unknown
from whichhop.target import certificate
from whichhop.target.client import Client, Origin
from whichhop.target.site import Site

CAUSES = Causes(
    {
        "tls-certificate-missing": Cause(
            "tls",
            "connection refused; nginx restarts again and again",
            "nginx cannot read a certificate or key: {error}",
            config(
                "mount both files at the paths that ssl_certificate and ssl_certificate_key name"
            ),
        ),
        "tls-key-mismatch": Cause(
            "tls",
            "connection refused; nginx restarts again and again",
            "The certificate and the key do not belong together: {error}",
            by_hand(
                "use the key with which the certificate was asked for, or have a new certificate made"
            ),
        ),
        "tls-certificate-expired": Cause(
            "tls",
            "the browser warns: certificate expired",
            "The certificate for {host} ended on {end}.",
            by_hand("renew it, then: docker compose exec {nginx} nginx -s reload"),
        ),
        "tls-certificate-other-name": Cause(
            "tls",
            "the browser warns: wrong name",
            "The certificate is not for {host}, but for {names}.",
            config("get one for {host}; or put it into the server block that has this server_name"),
        ),
        "tls-chain-incomplete": Cause(
            "tls",
            "some clients refuse the certificate, browsers often do not",
            "The certificate for {host} comes without the intermediate one of {issuer}.",
            config(
                "ssl_certificate must name the full chain (fullchain.pem), not the certificate alone"
            ),
        ),
        "tls-certificate-ends-soon": Cause(
            "tls",
            "nothing yet",
            "The certificate for {host} ends in {days} days, on {end}.",
            by_hand("find out why it was not renewed; nginx needs a reload to see a new one"),
        ),
        "certificate-job-failed": Cause(
            "tls",
            "connection refused after docker compose up; or a new certificate that does not show",
            "The service {service}, which gives nginx its certificate, failed: {error}",
            by_hand("do what that sentence says, then docker compose up --wait"),
        ),
        "certificate-not-issued": Cause(
            "tls",
            "the browser warns; or nothing yet, until the certificate ends",
            "{service} gets no certificate: {error}",
            by_hand(
                "do what the server says: the names must lead here, and its port 80 to this stack; at once instead"
                " of in a quarter of an hour: docker compose restart {service}"
            ),
        ),
        "tls-plain-port": Cause(
            "tls",
            "wrong version number; a record too long",
            "Port {port} of this machine leads to port {inside} of nginx. Browsers speak TLS there, but nginx"
            " speaks plain HTTP.",
            config(
                "listen {inside} ssl; or publish the port on which nginx does have 'listen … ssl'"
            ),
        ),
    }
)

# The results of a certificate request in log lines, after the prefix that the project declares.
OUTCOME = r"gave no certificate for|^nginx has a certificate that is from "

# nginx's messages when it cannot use a certificate; ngx_event_openssl.c.
REFUSED = {
    "tls-certificate-missing": r"\[emerg\].*cannot load certificate",
    "tls-key-mismatch": r"\[emerg\].*(?:key values mismatch|SSL_CTX_use_PrivateKey)",
}


def check(site: Site) -> Iterator[Finding]:
    """Yield whether nginx's own TLS works; if nginx does no TLS, nothing can be broken here."""
    state = site.nginx.state
    if not state.running or site.nginx.refusal:
        blamed = blocked("tls", "nginx" if site.nginx.refusal else "port")
        yield _why_not(site) or next(_job_failed(site, CAUSES.broken), blamed)
        return
    plain = {listen.port for listen in site.link.listens if not listen.tls}
    for inside, _, outside in site.nginx.published:
        if 443 in (inside, outside) and inside in plain:
            yield CAUSES.broken(site, "tls-plain-port", port=outside, inside=inside)
            return
    if not site.visitor.endpoint.url.startswith("https:"):
        yield ok("tls", "no TLS in this stack: plain HTTP, or TLS in front of it")
        return
    yield from _certificate(site)


def _why_not(site: Site) -> Finding | None:
    """Return which fault of the certificate keeps nginx from starting."""
    lines = site.nginx.refusal[-1:]
    for cause, pattern in REFUSED.items():
        if lines and re.search(pattern, lines[0]):
            return CAUSES.broken(site, cause, *lines, error=lines[0])
    return None


def _jobs(site: Site) -> Iterator[tuple[str, list[str]]]:
    """Yield each service that manages the certificate, recognised by its log lines, and those lines."""
    if not (beginning := site.declaration.certificates):
        return
    for service in sorted({*site.stack.definition["services"]} - site.services):
        lines = [line for line in site.service(service).log() if line.startswith(beginning)]
        if lines:
            yield service, [line.removeprefix(beginning) for line in lines]


def _job_failed(site: Site, say: Callable[..., Finding]) -> Iterator[Finding]:
    """Yield that the job before nginx's start failed, with its last log line."""
    for service, lines in _jobs(site):
        state = site.service(service).state
        if state.status == "exited" and state.exit_code:
            words = {"service": service, "error": lines[-1]}
            yield say(site, "certificate-job-failed", lines[-1], **words)


def _not_issued(site: Site, say: Callable[..., Finding]) -> Iterator[Finding]:
    """Yield that the ACME server refused the last certificate request, with its message."""
    for service, lines in _jobs(site):
        last = [n for n, line in enumerate(lines) if re.search(OUTCOME, line)][-1:]
        if not last or "gave no certificate" not in lines[last[0]]:
            continue
        said = [line.removeprefix("| ") for line in lines[last[0] + 1 :] if line.startswith("| ")]
        reasons = [line for line in said if re.search(r"ERROR|detail", line)] or said
        error = (reasons[-1:] or lines[last[0] :])[0].strip()
        words = {"service": service, "error": error}
        yield say(site, "certificate-not-issued", lines[last[0]], *reasons[-3:], **words)


def _certificate(site: Site) -> Iterator[Finding]:
    """Yield the faults of the certificate that nginx shows for the site's host."""
    endpoint = urlsplit(site.visitor.endpoint.url)
    origin = Origin.of(f"https://{site.visitor.host_header}")
    client = Client(str(origin), {origin.port: [(endpoint.hostname or "", endpoint.port or 443)]})
    try:
        shown = client.handshake(origin, verify=False)
    except OSError as error:
        yield unknown(
            "tls", f"no TLS connection to {site.visitor.endpoint.url} comes about: {error}"
        )
        return
    leaf = shown.chain[0]
    names = certificate.names(leaf)
    if leaf["issuer"] == leaf["subject"] and not names:
        names = [site.visitor.host]  # self-signed, for trying things out, and known to the user
    trusted, problem = True, 0
    try:
        client.handshake(origin, verify=True)
    except ssl.SSLCertVerificationError as error:
        trusted, problem = False, error.verify_code
    words = {
        "host": site.visitor.host,
        "end": leaf["notAfter"],
        "names": ", ".join(names) or "nobody",
    }
    days = certificate.days_left(leaf)
    if days < 0:
        yield CAUSES.broken(site, "tls-certificate-expired", **words)
    elif not any(_fits(name, site.visitor.host) for name in names):
        yield CAUSES.broken(site, "tls-certificate-other-name", **words)
    elif certificate.chain_ends_early(problem, shown.chain):
        issuer = certificate.name(leaf["issuer"])
        yield CAUSES.broken(site, "tls-chain-incomplete", issuer=issuer, **words)
    elif leaf["issuer"] == leaf["subject"] and (refused := list(_not_issued(site, CAUSES.broken))):
        yield from refused  # no browser trusts the certificate that nginx uses instead
        return
    elif days < certificate.SOON:
        yield CAUSES.warning(site, "tls-certificate-ends-soon", days=int(days), **words)
    else:
        by = "" if trusted else ", though this machine does not know who made it"
        yield ok(
            "tls",
            f"{shown.version}; the certificate is for {site.visitor.host} until {leaf['notAfter']}{by}",
        )
    yield from _job_failed(site, CAUSES.warning)
    yield from _not_issued(site, CAUSES.warning)


def _fits(name: str, host: str) -> bool:
    """Return whether a certificate's name matches a host; RFC 9525 section 6.3."""
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])
