"""Hop `nginx`: does it answer by itself, would it start again, and does it pass on what the app needs?"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests

from whichhop.checks import shared
from whichhop.finding import Cause, Causes, Finding, blocked, by_hand, command, config, ok
from whichhop.target import nginx_config, upstream
from whichhop.target.nginx_service import NoSite
from whichhop.target.site import Site
from whichhop.target.stack import StackError
from whichhop.target.visitor import NOWHERE, TIMEOUT

CAUSES = Causes(
    {
        "nginx-config-invalid": Cause(
            "nginx",
            "changes have no effect; the next start fails",
            "nginx refuses the configuration that it would be restarted with: {error}",
            config("correct the line named in the message, then docker compose up --build --wait"),
        ),
        "upstream-name-unknown": Cause(
            "nginx",
            "connection refused; nginx restarts again and again",
            "nginx cannot start, because nobody in its network has the name in uwsgi_pass: {error}",
            config(
                "name the service that runs uWSGI (here: {app}), in the same network, and let nginx start"
                " after it (depends_on); a Unix socket needs no name"
            ),
        ),
        "mount-is-a-directory": Cause(
            "nginx",
            "nginx does not start, or has its default site",
            "{path} should be a file, but is a directory: what it is mounted from, {source}, was not there"
            " when the container was made, and Docker made an empty directory of that name.",
            by_hand(
                "remove that directory, put the file there, then docker compose up --force-recreate"
            ),
        ),
        "mount-is-stale": Cause(
            "nginx",
            "changes have no effect, even after a reload",
            "{path} in the container is an older file than {source}: a mounted file stays the one that it"
            " was, and an editor or git makes a new one.",
            command(
                "docker compose up --force-recreate {service}; or mount the directory instead of the file"
            ),
        ),
        "other-server-answers": Cause(
            "nginx",
            '"Welcome to nginx!", another site, or 404',
            "For {host}, nginx answers with another server block than the one of the site: {other}.",
            config(
                "give the site's block this server_name, or 'listen … default_server'; remove the default"
                " site; a file counts only where an include names it (*.conf)"
            ),
        ),
        "nginx-redirect-loop": Cause(
            "nginx",
            "too many redirects",
            "nginx itself redirects {url} to {location}, and nothing here speaks TLS.",
            config("remove that return; whoever does TLS in front should redirect"),
        ),
        "nginx-does-not-answer": Cause(
            "nginx",
            "the browser waits for ever",
            "nginx accepts connections, but does not answer within {seconds} s.",
            command(
                "docker compose restart {nginx}; if it comes back, see docker compose logs {nginx}"
            ),
        ),
        "uwsgi-params-missing": Cause(
            "nginx",
            "502 on every page",
            "Where nginx passes requests on ({place}) it says nothing about them: {missing} is not set.",
            config(
                "include uwsgi_params in the same block as uwsgi_pass, and all other uwsgi_param lines with it:"
                " a block with one of its own inherits none"
            ),
        ),
        "host-port-lost": Cause(
            "nginx",
            "403, CSRF verification failed, when a form is sent",
            "nginx tells Django the host without the port ({param}), but visitors come to {host}.",
            config("keep your own uwsgi_params, with: uwsgi_param HTTP_HOST $http_host;"),
        ),
        "alias-leads-out": Cause(
            "nginx",
            "nothing; whoever knows it reads files beside the served ones",
            "The location {prefix} has no slash at its end, and its alias {alias} has one: {prefix}../NAME is"
            " NAME beside that directory.",
            config("location {prefix}/ {{ alias {alias}; }}"),
        ),
        "timeout-without-effect": Cause(
            "nginx",
            "504 after 60 s, whatever the configuration says",
            "proxy_read_timeout has no effect beside uwsgi_pass, which waits for 60 s.",
            config("uwsgi_read_timeout {value}; instead of proxy_read_timeout"),
        ),
        "cookies-cached": Cause(
            "nginx",
            "users see each other's pages, or are logged in as somebody else",
            "nginx gives answers that it keeps ({cache}) to everybody, though they are for one visitor: it"
            " ignores {ignored}, which would say so.",
            config(
                "remove that {directive}; or keep nothing for who sends a cookie: {directive_no_cache} $http_cookie;"
                " {directive_bypass} $http_cookie;"
            ),
        ),
    }
)

MOUNTED_FILE = (".conf", ".ini", ".pem", ".crt", ".key", ".cfg", "_params")


def check(site: Site) -> Iterator[Finding]:
    """Yield the faults of nginx itself; request a URL that needs no other hop."""
    wrong = _mounts(site)
    if wrong:
        yield wrong
        return
    if site.nginx.refusal or not site.nginx.state.running:
        yield _why_not(site)
        return
    try:
        site.nginx.config  # noqa: B018 # "nginx -T" tests it as "nginx -t" does
    except StackError as error:
        if "[emerg]" not in str(error):
            raise
        yield _refused(site, str(error).splitlines())
        return
    try:
        answer = site.visitor.get(NOWHERE)
    except requests.RequestException as error:
        yield CAUSES.broken(site, "nginx-does-not-answer", str(error), seconds=TIMEOUT)
        return
    wrong = (
        _other_server(site)
        or _redirects(site)
        or _params(site)
        or _cached_cookies(site)
        or _temporary_files(site)
    )
    if wrong:
        yield wrong
        return
    yield ok("nginx", f"it answers by itself ({answer.status_code}) and would start again")
    yield from _dangerous(site)


def _why_not(site: Site) -> Finding:
    """Return why nginx did not start, if its configuration is the reason."""
    lines = list(site.nginx.refusal)
    return _refused(site, lines) if lines else blocked("nginx", "port")


def _refused(site: Site, lines: list[str]) -> Finding:
    errors = [line for line in lines if "[emerg]" in line or "[crit]" in line]
    error = errors[-1] if errors else " ".join(lines)
    if name := re.search(r'host not found in upstream "([^:"]+)', error):
        state = site.app.state
        if name[1] == site.app.name and (state.keeps_ending or not state.running):
            return blocked("nginx", "uwsgi")  # names resolve only while their container runs
        return CAUSES.broken(site, "upstream-name-unknown", *lines, error=error)
    if re.search(r"certificate|SSL_CTX", error):
        return blocked("nginx", "tls")
    return CAUSES.broken(site, "nginx-config-invalid", *lines, error=error)


def _mounts(site: Site) -> Finding | None:
    """Return that a mounted file is a directory, or is not the file that is on the host now."""
    refused = site.nginx.state.error
    if "Are you trying to mount a directory onto a file" in refused:
        found = re.search(r'mounting "([^"]+)" to rootfs at "([^"]+)"', refused)
        source, path = found.groups() if found else ("what is mounted", "a path")
        return CAUSES.broken(site, "mount-is-a-directory", refused, path=path, source=source)
    for service in (site.nginx, site.app):
        if service.state.status == "missing":
            continue
        for mount in service.attributes["Mounts"]:
            source, path = Path(mount["Source"]), mount["Destination"]
            if mount["Type"] != "bind" or not path.endswith(MOUNTED_FILE) or not source.exists():
                continue
            if source.is_dir() and not any(source.iterdir()):
                return CAUSES.broken(site, "mount-is-a-directory", path=path, source=source)
            if source.is_file() and os.access(source, os.R_OK) and service.state.running:
                inside = service.exec("cat", path, user="0", privileged=True)
                if inside.code == 0 and inside.out != source.read_text(errors="replace"):
                    return CAUSES.broken(
                        site, "mount-is-stale", path=path, source=source, service=service
                    )
    return None


def _other_server(site: Site) -> Finding | None:
    """Return the server block that answers instead of the one that passes requests to the app."""
    try:
        mine = site.link.server
    except NoSite as error:
        files = sorted({server.file for server in nginx_config.servers(site.nginx.config)})
        other = ", ".join(files) or "none at all"
        return CAUSES.broken(
            site, "other-server-answers", str(error), host=site.visitor.host, other=other
        )
    chosen = nginx_config.server_for(
        site.nginx.config, site.visitor.endpoint.inside, site.visitor.host
    )
    if chosen is None or chosen is mine or chosen in [server for server, _ in site.nginx.servers]:
        return None
    if any(item.name == "return" for item in chosen.find("return")) and chosen.get("listen"):
        code = next(chosen.find("return")).words[1]
        if code.startswith("3"):
            return None  # to https or the main host name: the target is checked instead
    return CAUSES.broken(
        site, "other-server-answers", host=site.visitor.host_header, other=chosen.place
    )


def _redirects(site: Site) -> Finding | None:
    """Return that nginx redirects every visitor to https, which nothing here serves."""
    if site.visitor.endpoint.url.startswith("https:") or site.visitor.behind_tls:
        return None
    server = nginx_config.server_for(
        site.nginx.config, site.visitor.endpoint.inside, site.visitor.host
    )
    if server is None or any(
        listen.tls
        for s in nginx_config.servers(site.nginx.config)
        for listen in nginx_config.listens(s)
    ):
        return None
    for directive in server.block:
        if directive.name == "return" and directive.words[-1].startswith("https://"):
            url = f"http://{site.visitor.host_header}/"
            location = site.visitor.get("/").headers.get("Location", directive.words[-1])
            return CAUSES.broken(
                site,
                "nginx-redirect-loop",
                f"{directive.place}: {directive}",
                url=url,
                location=location,
            )
    return None


def _params(site: Site) -> Finding | None:
    """Return what nginx should pass to the app but does not."""
    passed = site.link.upstream
    if passed.protocol != "uwsgi":
        return None
    told = upstream.params(passed)
    missing = [
        name for name in ("REQUEST_METHOD", "PATH_INFO", "SERVER_PROTOCOL") if name not in told
    ]
    place = passed.directive.place
    if "REQUEST_METHOD" in missing:
        return CAUSES.broken(site, "uwsgi-params-missing", place=place, missing=", ".join(missing))
    port = urlsplit(f"//{site.visitor.host_header}").port
    if port and told.get("HTTP_HOST") in ("$host", "$server_name"):
        param = f"uwsgi_param HTTP_HOST {told['HTTP_HOST']}"
        return CAUSES.broken(
            site, "host-port-lost", place, param=param, host=site.visitor.host_header
        )
    return None


def _dangerous(site: Site) -> Iterator[Finding]:
    """Yield settings that work but are insecure or have no effect."""
    server = site.link.server
    for place in server.find("location"):
        *modifier, prefix = place.words[1:]
        alias = next((item.words[1] for item in place.block if item.name == "alias"), "")
        if modifier in ([], ["^~"]) and alias.endswith("/") and not prefix.endswith("/"):
            above = f"{place.place}: {place}"
            yield CAUSES.warning(site, "alias-leads-out", above, prefix=prefix, alias=alias)
            break
    for passed in server.find("uwsgi_pass"):
        around = passed.parent or server
        limit = around.get("proxy_read_timeout")
        if limit and limit.parent in (around, server) and not around.get("uwsgi_read_timeout"):
            if limit.parent is server and list(server.find("proxy_pass")):
                continue  # it applies to another location
            yield CAUSES.warning(
                site, "timeout-without-effect", f"{limit.place}: {limit}", value=limit.words[1]
            )
            break


def _temporary_files(site: Site) -> Finding | None:
    """Return the directory for large bodies to which nginx's workers may not write."""
    look = 'for path; do [ ! -d "$path" ] || [ -w "$path" ] || echo "$path"; done'
    for path in site.nginx.as_worker(
        "sh", "-c", look, "sh", *site.link.temporary_paths
    ).out.splitlines()[:1]:
        try:
            denied = site.nginx.files.why_not("w", path)
        except StackError:
            denied = {"path": path, "blame": "on a read-only file system", "identity": "any user"}
        volume = site.nginx.mount(denied["path"]).get("Name", "")
        seen = "{path}: {blame}".format(**denied)
        return shared.CAUSES.broken(site, "nginx-temp-unwritable", seen, volume=volume, **denied)
    return None


def _cached_cookies(site: Site) -> Finding | None:
    """
    Return that nginx caches answers meant for one visitor, and sends them to all.

    By default, nginx caches no answer with Set-Cookie, and honours Django's "Vary: Cookie". A configuration that
    ignores these headers must tell visitors apart itself. If it uses a variable to do so, assume that this works.
    """
    for passed in site.link.server.find(*upstream.PROTOCOLS):
        place, protocol = passed.parent or passed, passed.name.removesuffix("_pass")
        cache = place.get(f"{protocol}_cache")
        ignore = place.get(f"{protocol}_ignore_headers")
        if not cache or not ignore or cache.words[1] == "off" or "$" in cache.words[1]:
            continue
        ignored = [word for word in ignore.words[1:] if word in ("Set-Cookie", "Vary")]
        hidden = place.get(f"{protocol}_hide_header")
        if hidden and "Set-Cookie" in hidden.words and "Vary" not in ignored:
            continue
        key = place.get(f"{protocol}_cache_key")
        if not ignored or place.get(f"{protocol}_no_cache") or (key and "cookie" in str(key)):
            continue
        return CAUSES.broken(
            site,
            "cookies-cached",
            *(f"{directive.place}: {directive}" for directive in (cache, ignore)),
            cache=cache,
            ignored=" and ".join(ignored),
            directive=ignore.name,
            directive_no_cache=f"{protocol}_no_cache",
            directive_bypass=f"{protocol}_cache_bypass",
        )
    return None
