"""Hop `tls`: is the connection what the public address promises?"""

from collections.abc import Iterator

from hops.finding import Finding, ok
from hops.site import Site


def check(site: Site) -> Iterator[Finding]:
    """Yield whether nginx does TLS itself; where it does not, there is nothing here to break."""
    listening = [str(listen) for listen in site.server.find("listen")]
    if any("ssl" in listen.split() for listen in listening):
        yield ok("tls", "nginx does TLS itself", *listening)
    else:
        yield ok("tls", "no TLS in this stack: plain HTTP, or TLS in front of it")
