"""Hop `socket`: can nginx, with its own identity, connect to what its uwsgi_pass names?"""

import re
from collections.abc import Iterator

from whichhop.finding import Finding, ok, unknown
from whichhop.target.site import Site
from whichhop.target.stack import StackError

# perl-base is part of every Debian and the only thing in an nginx image that can connect to both
# kinds of sockets and say what the kernel answered; Python does it where an image has that instead.
PERL = r"""
use IO::Socket::UNIX; use IO::Socket::INET; my ($to) = @ARGV; my $s;
if ($to =~ m{^/}) { $s = IO::Socket::UNIX->new(Peer => $to, Timeout => 2) }
else { my ($h, $p) = $to =~ /^(.*):(\d+)$/; my $a = gethostbyname($h);
       if (!$a) { print "unknown host"; exit }
       $s = IO::Socket::INET->new(PeerAddr => join(".", unpack("C4", $a)), PeerPort => $p, Timeout => 2) }
print $s ? "connected" : "$!"
"""
PYTHON = """
import socket, sys
to = sys.argv[1]
try:
    if to.startswith("/"):
        s = socket.socket(socket.AF_UNIX); s.settimeout(2); s.connect(to)
    else:
        host, port = to.rsplit(":", 1)
        socket.create_connection((host, int(port)), 2)
    print("connected", end="")
except socket.gaierror: print("unknown host", end="")
except TimeoutError: print("Connection timed out", end="")
except OSError as error: print(error.strerror, end="")
"""


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong between nginx and the app's socket; connects once, and sends nothing."""
    if site.upstream.path:
        yield from _unix(site)
    else:
        yield from _tcp(site)


def _connect(site: Site, address: str) -> str:
    """
    Return "connected", or the kernel's words for why not.

    Without anything to try with, the front page tells; raise ``StackError`` when that fails.
    """
    for command in (("perl", "-e", PERL, address), ("python3", "-c", PYTHON, address)):
        output = site.as_nginx(*command)
        if output.code == 0 and output.out:
            return output.out
    if site.get("/").status_code not in (502, 503, 504):
        return "connected"
    raise StackError("nginx's container has neither perl nor python3 to try a connection with")


def _unix(site: Site) -> Iterator[Finding]:
    path, identity = site.upstream.path, site.nginx_identity
    places = site.look_along(path)
    log = site.last_lines(site.nginx, r"connect\(\) to unix:", 1)
    if path not in places:
        yield _not_there(site, path, *log)
        return
    found = places[path]
    if found.kind != "socket":
        yield site.broken(
            "socket-is-a-file", f"{path}: {found.kind}", *log, path=path, kind=found.kind
        )
        return
    answer = _connect(site, path)
    if answer == "connected":
        yield ok("socket", f"nginx ({identity}) may connect to {path}", str(found))
    elif answer == "Permission denied":
        yield _denied(site, path, *log)
    elif answer == "Connection refused":
        yield site.broken("socket-stale", *log, path=path)
    elif answer == "Resource temporarily unavailable":
        yield site.broken("socket-queue-full", *site.crowd(), *log, path=path)
    else:
        yield unknown("socket", f"connecting to {path} fails: {answer}")


def _not_there(site: Site, path: str, *log: str) -> Finding:
    """Return whether nothing is there, or something which nginx does not see."""
    lines = site.last_lines(site.app, r"bound to UNIX address", 1)
    if site.stack.same_place(path, site.nginx, site.app) is None:
        own = re.search(r"address (\S+)", lines[0]) if lines else None
        for place in filter(None, (own[1] if own else "", path)):
            look = site.stack.exec(site.app, "test", "-S", place, user="0", privileged=True)
            if look.code == 0:
                return site.broken("socket-volumes-differ", *lines, *log, own=place, path=path)
    return site.broken("socket-missing", *lines, *log, path=path)


def _denied(site: Site, path: str, *log: str) -> Finding:
    """Return which directory, or else the socket itself, keeps nginx out."""
    identity = site.nginx_identity
    denied = site.denied("w", path)  # connecting needs the right to write
    if denied is None:
        return site.broken("socket-denied-by-policy", *log, identity=identity, path=path)
    place, found = denied
    if place != path:
        cause = "socket-directory-private"
    elif found.mode & 0o020 and found.uid != identity.uid:
        cause = "socket-group"
    else:
        cause = "socket-mode"
    words = {
        "identity": identity,
        "path": place,
        "mode": f"{found.mode:04o}",
        "owner": f"{found.uid}:{found.gid}",
        "gid": found.gid,
    }
    return site.broken(cause, f"{place}: {found}", *log, **words)


def _tcp(site: Site) -> Iterator[Finding]:
    passed = site.upstream
    address, directive = str(passed), str(passed.directive)
    log = site.last_lines(site.nginx, r"\[error\].*(?:upstream|resolve)", 1)
    if passed.resolved_late:
        late = site.last_lines(site.nginx, r"could not be resolved|no resolver defined", 1)
        if late and site.get("/").status_code in (502, 504):
            yield site.broken("upstream-name-lost", *late, host=passed.host, error=late[0])
            return
    answer = _connect(site, address)
    if answer == "unknown host":
        error = log[0] if log else address
        yield site.broken("upstream-name-lost", *log, host=passed.host, error=error)
    elif answer == "Connection refused":
        yield _refused(site, address, directive, *log)
    elif "timed out" in answer or answer == "Operation now in progress":
        yield site.broken("upstream-queue-full", *site.crowd(), *log, address=address)
    elif answer != "connected":
        yield unknown("socket", f"connecting to {address} fails: {answer}")
    elif stale := _stale(site):
        yield stale
    else:
        yield ok("socket", f"nginx can connect to {address}", directive)


def _refused(site: Site, address: str, directive: str, *log: str) -> Finding:
    """Return whether nobody listens on the port, or somebody whom only the app itself can reach."""
    port = site.upstream.port
    try:
        listening = site.stack.exec(site.app, "cat", "/proc/net/tcp").out
    except StackError:
        listening = ""
    # Local address and state of a listener: 0100007F is 127.0.0.1; proc(5).
    if re.search(rf" 0100007F:{port:04X} 00000000:0000 0A ", listening):
        bound = site.last_lines(site.app, r"bound to TCP address", 1)
        return site.broken("upstream-bound-to-localhost", *bound, *log, port=port)
    bound = site.last_lines(site.app, r"bound to (?:TCP|UNIX) address", 1)
    return site.broken("upstream-refused", *bound, *log, address=address, directive=directive)


def _stale(site: Site) -> Finding | None:
    """
    Return that nginx asks an address that the app had once.

    nginx looks a name up when it starts. Only its own log tells what it found then, so it is asked
    for a page, and when that fails, its last line is read.
    """
    try:
        if site.get("/").status_code not in (502, 504):
            return None
    except OSError:
        pass  # it may hang: then nobody has that address any more
    lines = site.last_lines(site.nginx, r'upstream: "\w+://[\d.]+:\d+', 1)
    found = re.search(r'upstream: "\w+://([\d.]+):(\d+)', lines[0]) if lines else None
    if not found or found[1] in site.stack.addresses(site.app):
        return None
    now = ", ".join(site.stack.ip_addresses(site.app))
    return site.broken("upstream-address-stale", *lines, old=f"{found[1]}:{found[2]}", now=now)
