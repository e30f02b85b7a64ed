"""Hop `socket`: can nginx, with its own identity, connect to what its uwsgi_pass names?"""

import re
from collections.abc import Iterator

from whichhop import probes
from whichhop.checks import shared
from whichhop.finding import Cause, Causes, Finding, by_hand, command, config, ok, unknown
from whichhop.target.site import Site
from whichhop.target.stack import StackError
from whichhop.target.visitor import TIMEOUT

CAUSES = Causes(
    {
        "socket-missing": Cause(
            "socket",
            "502 or 503 at once; nginx logs (2: No such file or directory)",
            "There is nothing at {path}.",
            command(
                "start the app, docker compose up --wait; if it runs, compare socket in the ini with uwsgi_pass"
            ),
        ),
        "socket-volumes-differ": Cause(
            "socket",
            "502 at once; nginx logs (2: No such file or directory), though the socket is there",
            "The socket is in {app}, at {own}, but nginx, which looks for {path}, sees another directory.",
            config(
                "mount the same volume in {app} and {nginx}: the directory of the socket, not the socket itself"
            ),
        ),
        "socket-stale": Cause(
            "socket",
            "502 or 503 at once; nginx logs (111: Connection refused)",
            "A socket is at {path}, but nobody listens: the uWSGI that made it is gone.",
            command("docker compose up --wait; if uWSGI runs, docker compose restart {app}"),
        ),
        "socket-is-a-file": Cause(
            "socket",
            "502 or 503 at once; nginx logs (111: Connection refused) or (13: Permission denied)",
            "{path} is not a socket but a {kind}.",
            by_hand("remove it, then docker compose restart {app}"),
        ),
        "socket-mode": Cause(
            "socket",
            "502 or 503 at once; nginx logs (13: Permission denied)",
            "nginx ({identity}) may not connect to {path}: its mode is {mode}, its owner {owner},"
            " and connecting needs the right to write.",
            config(
                "set chmod-socket = 660 in {ini}, and give both containers the same group; then docker compose"
                " restart {app}, since a reload keeps the socket that is there"
            ),
        ),
        "socket-group": Cause(
            "socket",
            "502 or 503 at once; nginx logs (13: Permission denied)",
            "nginx ({identity}) may not connect to {path}: its mode, {mode}, is good, but nginx is not in its"
            " group, {gid}.",
            config(
                'give nginx that group (group_add: ["{gid}"] under {nginx} in the Compose file), or the socket one'
                " that nginx has (chown-socket in {ini}); then docker compose up --wait"
            ),
        ),
        "socket-directory-private": Cause(
            "socket",
            "502 or 503 at once; nginx logs (13: Permission denied)",
            "nginx ({identity}) may not enter {path}: its mode is {mode}, its owner {owner}.",
            config(
                "give the directory mode 2750 and a group that both containers have (for a tmpfs volume, in"
                " its driver_opts)"
            ),
        ),
        "socket-denied-by-policy": Cause(
            "socket",
            "502 at once; nginx logs (13: Permission denied), though all modes are right",
            "Modes and owners let nginx ({identity}) connect to {path}, but the machine refuses:"
            " an access control list, or a security policy such as SELinux.",
            by_hand(
                "getfacl {path} shows a list, ausearch -m avc a policy; use a named volume, or :z behind a"
                " mounted directory"
            ),
        ),
        "upstream-refused": Cause(
            "socket",
            "502 at once; nginx logs (111: Connection refused)",
            "Nobody listens on {address} in {app}.",
            by_hand(
                "compare uwsgi_pass ({directive}) with socket of uWSGI; its log says what it was bound to"
            ),
        ),
        "upstream-bound-to-localhost": Cause(
            "socket",
            "502 at once; nginx logs (111: Connection refused)",
            "uWSGI listens on port {port}, but on 127.0.0.1 of its own container, where nginx cannot come.",
            config("socket = :{port} instead of 127.0.0.1:{port}"),
        ),
        "upstream-address-stale": Cause(
            "socket",
            "502 or 504 after a deploy; cured by restarting nginx",
            "nginx still asks {old}, but {app} is at {now} since its container was made anew.",
            command(
                "docker compose exec {nginx} nginx -s reload, after every deploy; a Unix socket, or resolver"
                " 127.0.0.11 with a variable in uwsgi_pass, needs no reload"
            ),
        ),
        "upstream-name-lost": Cause(
            "socket",
            "502 on every page; nginx logs: could not be resolved, or no resolver defined",
            "nginx looks {host} up at every request, and does not find it: {error}",
            config(
                "resolver 127.0.0.11 valid=10s; and the name of a service of the same network (here: {app})"
            ),
        ),
    }
)


def check(site: Site) -> Iterator[Finding]:
    """Yield the faults between nginx and the app's socket; connect once and send nothing."""
    if site.link.upstream.path:
        yield from _unix(site)
    else:
        yield from _tcp(site)


def _connect(site: Site, address: str) -> str:
    """
    Return "connected", or the kernel's error message.

    If nginx's container has no program that can connect, request the front page instead; raise ``StackError``
    if that fails.
    """
    ways = (("perl", "-e", "connect.pl"), ("python3", "-c", "connect.py"))
    for program, option, probe in ways:
        output = site.nginx.as_worker(program, option, probes.source(probe), address)
        if output.code == 0 and output.out:
            return output.out
    if site.visitor.get("/").status_code not in (502, 503, 504):
        return "connected"
    raise StackError("nginx's container has neither perl nor python3 to try a connection with")


def _unix(site: Site) -> Iterator[Finding]:
    path, identity = site.link.upstream.path, site.nginx.identity
    places = site.nginx.files.along(path)
    log = site.nginx.last_lines(r"connect\(\) to unix:", 1)
    if path not in places:
        yield _not_there(site, path, *log)
        return
    found = places[path]
    if found.kind != "socket":
        yield CAUSES.broken(
            site, "socket-is-a-file", f"{path}: {found.kind}", *log, path=path, kind=found.kind
        )
        return
    answer = _connect(site, path)
    if answer == "connected":
        yield ok("socket", f"nginx ({identity}) may connect to {path}", str(found))
    elif answer == "Permission denied":
        yield _denied(site, path, *log)
    elif answer == "Connection refused":
        yield CAUSES.broken(site, "socket-stale", *log, path=path)
    elif answer == "Resource temporarily unavailable":
        yield shared.CAUSES.broken(
            site, "socket-queue-full", *site.link.queue(TIMEOUT), *log, path=path
        )
    else:
        yield unknown("socket", f"connecting to {path} fails: {answer}")


def _not_there(site: Site, path: str, *log: str) -> Finding:
    """Return whether the socket does not exist, or exists where nginx cannot see it."""
    lines = site.app.last_lines(r"bound to UNIX address", 1)
    if site.stack.same_place(path, site.nginx.name, site.app.name) is None:
        own = re.search(r"address (\S+)", lines[0]) if lines else None
        for place in filter(None, (own[1] if own else "", path)):
            look = site.app.exec("test", "-S", place, user="0", privileged=True)
            if look.code == 0:
                return CAUSES.broken(
                    site, "socket-volumes-differ", *lines, *log, own=place, path=path
                )
    return CAUSES.broken(site, "socket-missing", *lines, *log, path=path)


def _denied(site: Site, path: str, *log: str) -> Finding:
    """Return whether a directory or the socket itself denies access to nginx."""
    identity = site.nginx.identity
    denied = site.nginx.files.denied("w", path)  # connecting needs write permission
    if denied is None:
        return CAUSES.broken(site, "socket-denied-by-policy", *log, identity=identity, path=path)
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
    return CAUSES.broken(site, cause, f"{place}: {found}", *log, **words)


def _tcp(site: Site) -> Iterator[Finding]:
    passed = site.link.upstream
    address, directive = str(passed), str(passed.directive)
    log = site.nginx.last_lines(r"\[error\].*(?:upstream|resolve)", 1)
    if passed.resolved_late:
        late = site.nginx.last_lines(r"could not be resolved|no resolver defined", 1)
        if late and site.visitor.get("/").status_code in (502, 504):
            yield CAUSES.broken(site, "upstream-name-lost", *late, host=passed.host, error=late[0])
            return
    answer = _connect(site, address)
    if answer == "unknown host":
        error = log[0] if log else address
        yield CAUSES.broken(site, "upstream-name-lost", *log, host=passed.host, error=error)
    elif answer == "Connection refused":
        yield _refused(site, address, directive, *log)
    elif "timed out" in answer or answer == "Operation now in progress":
        yield shared.CAUSES.broken(
            site, "upstream-queue-full", *site.link.queue(TIMEOUT), *log, address=address
        )
    elif answer != "connected":
        yield unknown("socket", f"connecting to {address} fails: {answer}")
    elif stale := _stale(site):
        yield stale
    else:
        yield ok("socket", f"nginx can connect to {address}", directive)


def _refused(site: Site, address: str, directive: str, *log: str) -> Finding:
    """Return whether nothing listens on the port, or only on the app's own loopback address."""
    port = site.link.upstream.port
    try:
        listening = site.app.exec("cat", "/proc/net/tcp").out
    except StackError:
        listening = ""
    # The local address and state of a listener; 0100007F is 127.0.0.1; proc(5).
    if re.search(rf" 0100007F:{port:04X} 00000000:0000 0A ", listening):
        bound = site.app.last_lines(r"bound to TCP address", 1)
        return CAUSES.broken(site, "upstream-bound-to-localhost", *bound, *log, port=port)
    bound = site.app.last_lines(r"bound to (?:TCP|UNIX) address", 1)
    return CAUSES.broken(
        site, "upstream-refused", *bound, *log, address=address, directive=directive
    )


def _stale(site: Site) -> Finding | None:
    """
    Return that nginx uses an outdated address of the app.

    nginx resolves a name when it starts, and only its log shows the address. So request a page, and if that
    fails, read nginx's last log line.
    """
    try:
        if site.visitor.get("/").status_code not in (502, 504):
            return None
    except OSError:
        pass  # it may hang if nothing has that address any more
    lines = site.nginx.last_lines(r'upstream: "\w+://[\d.]+:\d+', 1)
    found = re.search(r'upstream: "\w+://([\d.]+):(\d+)', lines[0]) if lines else None
    if not found or found[1] in site.stack.addresses(site.app.name):
        return None
    now = ", ".join(site.stack.ip_addresses(site.app.name))
    return CAUSES.broken(
        site, "upstream-address-stale", *lines, old=f"{found[1]}:{found[2]}", now=now
    )
