"""Hop `port`, from outside: does the name resolve, and does something answer with HTTP there?"""

import errno
import socket
from collections.abc import Iterator
from functools import partial

from whichhop.blackbox.view import View
from whichhop.finding import ANYBODY, Cause, Causes, Finding, by_hand, config, ok, unknown
from whichhop.target.client import Attempt, NotHTTP, Origin

CAUSES = Causes(
    {
        "name-unknown": Cause(
            "port",
            "server not found",
            "The name {host} leads to no address ({error}).",
            by_hand("correct the name, or add it to the DNS"),
        ),
        "connection-refused": Cause(
            "port",
            "connection refused",
            "Nothing takes connections on {address}.",
            config("start nginx; publish its port on 0.0.0.0, not on 127.0.0.1; compare the port"),
        ),
        "connection-times-out": Cause(
            "port",
            "the browser waits for ever",
            "No answer at all comes from {address} ({error}).",
            by_hand(
                "open the port in the firewall or security group; check that the address is the server's"
            ),
        ),
        "address-family-dead": Cause(
            "port",
            "some visitors wait, or cannot come in",
            "{host} has the address {address}, which takes no connections ({error}); {other} does.",
            config(
                "make nginx listen there too ('listen [::]:80' for IPv6), or take the address out of the DNS"
            ),
        ),
        "http-to-tls-port": Cause(
            "port",
            "400, The plain HTTP request was sent to HTTPS port",
            "{address} speaks TLS, and was asked in plain HTTP.",
            by_hand(
                "ask https://{netloc}; behind a proxy: proxy_pass https://…, or its plain port"
            ),
        ),
        "not-http": Cause(
            "port",
            "the browser says: invalid response, or connection reset",
            "What takes connections on {address} does not speak HTTP ({error}).",
            config(
                "publish the port of nginx, not the uwsgi socket (or another service) behind it"
            ),
        ),
    }
)

broken = partial(CAUSES.broken, ANYBODY)
advice = partial(CAUSES.warning, ANYBODY)

# This machine has no route to such an address, which says nothing about the site.
NO_WAY = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def check(view: View) -> Iterator[Finding]:
    """Yield the faults of the name and the port; for http, also whether the answer is HTTP."""
    origin = view.client.origin
    try:
        attempts = view.client.attempts(origin.port)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            yield unknown("port", f"no name server answers: {error}")
        else:
            yield broken("name-unknown", host=origin.host, error=error.strerror)
        return
    except TimeoutError as error:
        yield unknown("port", str(error))
        return
    good = [attempt for attempt in attempts if not attempt.error]
    bad = [attempt for attempt in attempts if attempt.error]
    if not good:
        yield refused(bad[0])
        return
    if origin.scheme == "http":
        wrong = list(protocol(view, spell(good[0])))
        if wrong:
            yield from wrong
            return
    for attempt in bad:
        here = attempt.address[0] in ("::1", "127.0.0.1")
        if not here and attempt.error and attempt.error.errno not in NO_WAY:
            yield advice(
                "address-family-dead",
                host=origin.host,
                address=spell(attempt),
                error=reason(attempt),
                other=spell(good[0]),
            )
            break
    yield ok("port", f"{origin} takes connections ({', '.join(map(spell, good))})")


def spell(attempt: Attempt) -> str:
    """Return an address in its usual notation."""
    host, port = attempt.address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason(attempt: Attempt) -> str:
    """Return why an address accepts no connection, in a few words."""
    return (attempt.error and attempt.error.strerror) or str(attempt.error)


def refused(attempt: Attempt) -> Finding:
    """Return why no address accepts connections."""
    error = attempt.error
    if isinstance(error, ConnectionRefusedError):
        return broken("connection-refused", error, address=spell(attempt))
    if error and error.errno in NO_WAY:
        return unknown("port", f"this machine has no way to {spell(attempt)}: {error}")
    return broken("connection-times-out", address=spell(attempt), error=reason(attempt))


def protocol(view: View, address: str) -> Iterator[Finding]:
    """Yield what answers instead of plain HTTP. No answer at all is left to the next hop."""
    origin, visit = view.client.origin, view.visit
    first = visit.answers[0] if visit.answers else None
    if first and not (first.status == 400 and "HTTPS" in first.text):
        return
    if not first and isinstance(visit.error, TimeoutError):
        return
    seen = str(first or visit.error)
    try:
        shown = view.client.handshake(Origin("https", *origin[1:]), verify=False)
        yield broken("http-to-tls-port", seen, shown.version, address=address, netloc=origin.netloc)
    except OSError:
        if not first:
            what = "this came" if isinstance(visit.error, NotHTTP) else "it hangs up"
            yield broken("not-http", seen, address=address, error=f"{what}: {visit.error}")
