"""Hop `socket`: may nginx, with its own identity, connect to the socket that its uwsgi_pass names?"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from hops.causes import broken
from hops.finding import Finding, ok, unknown
from hops.site import Site

# perl-base is part of every Debian and the only thing in an nginx image that can connect.
CONNECT = (
    'use IO::Socket::UNIX; IO::Socket::UNIX->new(Peer => $ARGV[0], Timeout => 2) or print "$!"'
)


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong between nginx and the socket; connects once, and sends nothing."""
    path, identity = site.socket, site.nginx_identity

    along = [*reversed(PurePosixPath(path).parents), PurePosixPath(path)]
    command = ("stat", "-c", "%n|%F|%a|%u:%g", *map(str, along))
    seen = site.stack.exec(site.nginx, *command, user="0", privileged=True)
    places = {line.split("|")[0]: line.split("|")[1:] for line in seen.out.splitlines()}
    log = site.last_lines(site.nginx, r"connect\(\) to unix:", 1)

    if path not in places:
        yield broken("socket-missing", *seen.err.splitlines()[-1:], *log, path=path)
        return
    kind, mode, owner = places[path]
    if kind != "socket":
        yield broken("socket-is-a-file", f"{path}: {kind}", *log, path=path, kind=kind)
        return

    error = site.stack.exec(site.nginx, "perl", "-e", CONNECT, path, user=identity)
    if error.code:
        yield unknown("socket", "nginx's container has no perl to try a connection with", error.err)
    elif error.out == "":
        yield ok(
            "socket", f"nginx ({identity}) may connect to {path}", f"mode {mode}, owner {owner}"
        )
    elif error.out == "Permission denied":
        yield _denied(site, path, places, *log)
    elif error.out == "Connection refused":
        yield broken("socket-stale", *log, path=path)
    elif error.out == "Resource temporarily unavailable":
        yield broken("socket-queue-full", *log, path=path)
    else:
        yield unknown("socket", f"connecting to {path} fails: {error.out}")


def _denied(site: Site, path: str, places: dict[str, list[str]], *log: str) -> Finding:
    """Return which directory, or else the socket itself, keeps nginx out."""
    identity = site.nginx_identity
    for place, (_, mode, owner) in places.items():
        evidence = f"{place}: mode {mode}, owner {owner}"
        if place == path:
            break
        if site.stack.exec(site.nginx, "test", "-x", place, user=identity).code:
            return broken(
                "socket-directory-private", evidence, *log,
                identity=identity, path=place, mode=mode, owner=owner,
            )  # fmt: skip
    return broken(
        "socket-mode", evidence, *log, identity=identity, path=path, mode=mode, owner=owner
    )
