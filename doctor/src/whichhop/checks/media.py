"""Hop `media`: can Django store uploads, and does nginx serve them?"""

import dataclasses
import os
from collections.abc import Iterator
from urllib.parse import quote

from whichhop.checks import shared
from whichhop.finding import Cause, Causes, Finding, blocked, command, config, ok, unknown
from whichhop.target import nginx_config, upstream
from whichhop.target.site import Site
from whichhop.target.site_report import known

CAUSES = Causes(
    {
        "media-permission-denied": Cause(
            "media",
            "403 for some or all uploads",
            "nginx's workers ({identity}) may not read {path}: {blame}.",
            config(
                "set FILE_UPLOAD_PERMISSIONS = 0o640 (0o644 without a common group) in settings.py;"
                " for those that are there: chmod"
            ),
        ),
        "media-not-routed": Cause(
            "media",
            "404 from Django for uploads",
            "No location of nginx serves {prefix}, so Django is asked for it, which does not do that"
            " without DEBUG.",
            config("add to the server block: location {prefix} {{ alias /path/to/MEDIA_ROOT/; }}"),
        ),
        "media-missing": Cause(
            "media",
            "404 for uploads",
            "Django stored {name}, but nginx finds nothing at {path}: they do not see the same volume.",
            config(
                "mount the volume with the uploads in both services, at the path that nginx's location names"
            ),
        ),
        "media-not-writable": Cause(
            "media",
            "500 when somebody uploads",
            "The site may not write to {path} (mode {mode}, owner {owner}), where uploads go.",
            command(
                "docker compose exec {app} chmod 2750 {path}; when the owner is not {user}, give it back to it"
            ),
        ),
        "media-not-on-volume": Cause(
            "media",
            "uploads are gone after the next deploy",
            "Uploads go to {path}, which is no volume: they end with the container.",
            config("mount a named volume at exactly that path in {app}, and in {nginx}"),
        ),
    }
)


def check(site: Site) -> Iterator[Finding]:
    """Yield the faults of uploads, judged by the newest one; store nothing."""
    if not site.app.report.has_django:
        yield ok("media", "the app is not a Django site: it has no MEDIA_ROOT")
        return
    settings = known(site.app.report.settings)
    root, prefix = settings.media_root, settings.media_url
    if not root or not prefix.startswith("/"):
        yield ok("media", "the site stores no uploads of its own (MEDIA_ROOT, MEDIA_URL)")
        return
    sample = known(site.app.report.media)
    if sample.none:
        yield ok("media", sample.none)
        return
    for place in sample.directories:
        if place.full:
            full = shared.CAUSES.broken(site, "disk-full", path=place.path)
            yield dataclasses.replace(full, hop="media")
            return
        if not place.writable:
            yield CAUSES.broken(
                site,
                "media-not-writable",
                path=place.path,
                mode=place.mode or place.error,
                owner=place.owner,
                user=site.app.identity,
            )
            return
    if not site.app.mount(root):
        yield CAUSES.broken(site, "media-not-on-volume", path=root)
        return
    url = prefix + quote(os.fsencode(sample.name))
    location = nginx_config.location(site.link.server, url)
    path = nginx_config.file_for(location, prefix + sample.name) if location else None
    if path is None or (location and upstream.passes_on(location)):
        yield _not_routed(site, url, prefix)
    elif not sample.name:
        yield _nothing_uploaded(site, path.rstrip("/"))
    else:
        yield _served(site, url, path, sample.newest)


def _not_routed(site: Site, url: str, prefix: str) -> Finding:
    """Return what happens to an upload that no nginx location serves; Django may serve it."""
    status = site.visitor.get(url).status_code
    if status == 200:
        return ok("media", f"{url} comes from the app, not from nginx")
    if status >= 500:
        return blocked("media", f"what makes nginx answer {status}")
    return CAUSES.broken(site, "media-not-routed", prefix=prefix)


def _nothing_uploaded(site: Site, directory: str) -> Finding:
    if (
        directory in site.nginx.files.along(directory)
        and site.nginx.as_worker("test", "-x", directory).code
    ):
        return CAUSES.broken(
            site, "media-permission-denied", **site.nginx.files.why_not("x", directory)
        )
    return ok("media", "nothing is uploaded yet; nginx may enter the directory")


def _served(site: Site, url: str, path: str, stored: str) -> Finding:
    status = site.visitor.get(url).status_code
    if status == 404:
        return CAUSES.broken(site, "media-missing", name=stored, path=path)
    if status == 403:
        denied = site.nginx.files.why_not("r", path)
        return CAUSES.broken(
            site, "media-permission-denied", "{path}: {blame}".format(**denied), **denied
        )
    if status == 200:
        return ok("media", f"{url}, the newest upload, comes from nginx")
    return unknown("media", f"nginx answers {status} for {url}")
