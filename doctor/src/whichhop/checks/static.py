"""Hop `static`: does nginx serve exactly the files that this release collected?"""

import hashlib
import re
from collections.abc import Iterator

import requests
from urllib3.response import HTTPResponse

from whichhop.checks import shared
from whichhop.finding import Cause, Causes, Finding, blocked, command, config, ok, unknown
from whichhop.target import nginx_config, upstream
from whichhop.target.nginx_config import Directive
from whichhop.target.site import Site
from whichhop.target.site_report import Static, failed, known

CAUSES = Causes(
    {
        "static-not-routed": Cause(
            "static",
            "pages without style; 404 from Django for /static/",
            "No location of nginx serves {url}, so Django is asked for it, which does not do that"
            " without DEBUG.",
            config("add to the server block: location {prefix} {{ alias /path/to/STATIC_ROOT/; }}"),
        ),
        "static-alias-glued": Cause(
            "static",
            "pages without style; 404 for every static file",
            "nginx looks for {path}: the alias {alias} has no slash at its end, the location has one.",
            config("end both with a slash: location {prefix} {{ alias {alias}/; }}"),
        ),
        "static-root-doubled": Cause(
            "static",
            "pages without style; 404 for every static file",
            "nginx looks for {path}: root adds the whole address to the directory.",
            config("use alias with that directory, or root with the one above it"),
        ),
        "static-missing": Cause(
            "static",
            "pages without style; 404 for /static/",
            "{path} is not there: the collected static files of this release are not where nginx looks.",
            command("{collect}; if they are collected, mount the same volume in {app} and {nginx}"),
        ),
        "static-permission-denied": Cause(
            "static",
            "pages without style; 403 for /static/",
            "nginx's workers ({identity}) may not read {path}: {blame}.",
            command(
                "chmod --recursive u=rwX,go=rX on the directory with the static files, and +x on those above it"
            ),
        ),
        "static-stale": Cause(
            "static",
            "new pages with old style sheets",
            "nginx serves other bytes for {url} than this release has.",
            command("{recollect}"),
        ),
        "static-wrong-type": Cause(
            "static",
            "the browser refuses style sheets or scripts",
            "nginx serves {url} as {type}.",
            config("include mime.types in nginx.conf"),
        ),
    }
)

TYPE = "text/css"

# Encodings that requests decodes for us; "br" only if a Python package for it is installed.
DECODED = HTTPResponse.CONTENT_DECODERS


def check(site: Site) -> Iterator[Finding]:
    """Yield the faults of static files, judged by the admin's style sheet, or another one."""
    if not site.app.report.has_django:
        yield ok("static", "the app is not a Django site: it has no collected static files")
        return
    if wrong := failed(site.app.report.static):
        if "manifest entry" in wrong.error:
            words = {"error": wrong.error, "place": wrong.place or "in Django itself"}
            yield shared.CAUSES.broken(site, "static-manifest-entry-missing", **words)
            return
        if "StaticFilesStorage" not in wrong.error and "INSTALLED_APPS" in wrong.error:
            yield ok("static", "the site does not use django.contrib.staticfiles")
            return
    sample = known(site.app.report.static)
    if not sample.url:
        where = sample.elsewhere
        yield ok(
            "static", f"static files come from {where}" if where else "the site has no style sheet"
        )
        return
    url = sample.url
    place = nginx_config.location(site.link.server, url)
    path = nginx_config.file_for(place, url) if place else None
    answer = site.visitor.get(url, **{"Accept-Encoding": "identity"})
    status = answer.status_code
    where = f"{place.place}: {place}" if place else ""
    if place is None or path is None or upstream.passes_on(place):
        yield _not_routed(site, url, status, where)
        return
    log = site.nginx.last_lines(r"open\(\).*" + re.escape(path), 1)
    evidence = (where, *log)
    if status == 404:
        yield _missing(site, place, path, evidence)
    elif status == 403:
        denied = site.nginx.files.why_not("r", path)
        seen = "{path}: {blame}".format(**denied)
        yield CAUSES.broken(site, "static-permission-denied", seen, *log, **denied)
    elif status != 200:
        yield unknown("static", f"nginx answers {status} for {url}")
    elif answer.headers.get("Content-Type", "").split(";")[0] != TYPE:
        kind = answer.headers.get("Content-Type", "nothing")
        yield CAUSES.broken(site, "static-wrong-type", url=url, type=kind)
    else:
        yield _same(site, sample, answer)


def _not_routed(site: Site, url: str, status: int, *where: str) -> Finding:
    """Return what happens to a file that no nginx location serves; Django may serve it."""
    if status == 200:
        return ok("static", f"{url} comes from the app, not from nginx")
    if status == 404:
        prefix = known(site.app.report.settings).static_url
        return CAUSES.broken(
            site, "static-not-routed", *filter(None, where), url=url, prefix=prefix
        )
    if status >= 500:
        return blocked("static", f"what makes nginx answer {status}")
    return unknown("static", f"{url} is answered with {status}")


def _missing(site: Site, place: Directive, path: str, evidence: tuple[str, ...]) -> Finding:
    """Return why the file is missing: the path is wrong, or the files were not collected."""
    prefix = place.words[-1]
    alias, root = place.get("alias"), place.get("root")
    if alias and alias.parent is place:
        target = alias.words[1]
        if prefix.endswith("/") and not target.endswith("/"):
            return CAUSES.broken(
                site, "static-alias-glued", *evidence, path=path, alias=target, prefix=prefix
            )
    elif root and (folder := prefix.strip("/")) and f"/{folder}/{folder}/" in path:
        return CAUSES.broken(site, "static-root-doubled", *evidence, path=path)
    return CAUSES.broken(site, "static-missing", *evidence, path=path)


def _same(site: Site, sample: Static, plain: requests.Response) -> Finding:
    """Return whether the file that nginx serves, plain and compressed, is the one of the release."""
    # A file with a hash in its name had its URLs rewritten when it was collected; without a hash, the
    # collected file should be a copy of the app's own.
    path, url = sample.file if sample.hashed else sample.source, sample.url
    collected = site.stack.run(site.app.name, "sha256sum", path).split()[0]
    # Each compressed form is a separate file, which can be outdated.
    for form in ("", "gzip", "br"):
        try:
            answer = site.visitor.get(url, **{"Accept-Encoding": form}) if form else plain
        except requests.exceptions.ContentDecodingError as error:
            return unknown("static", f"{url}, asked for as {form}, cannot be decoded", str(error))
        if answer.status_code != 200:
            return unknown("static", f"nginx answers {answer.status_code} for {url} as {form}")
        encoding = answer.headers.get("Content-Encoding", "").lower()
        if strange := {word.strip() for word in encoding.split(",")} - {"", "identity", *DECODED}:
            names = " and ".join(sorted(strange))
            return unknown(
                "static", f"{url} comes encoded as {names}, which cannot be decoded here"
            )
        served = hashlib.sha256(answer.content).hexdigest()
        if collected != served:
            evidence = (f"{path}: sha256 {collected}", f"served: sha256 {served}")
            return CAUSES.broken(site, "static-stale", *evidence, url=url)
    return ok("static", f"{url} is the file that was collected")
