"""Hop `media`: may Django store uploads, and does nginx serve what it stored?"""

import os
from collections.abc import Iterator
from urllib.parse import quote

from hops import nginx_config
from hops.causes import broken
from hops.finding import Finding, ok, unknown
from hops.site import Site


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with uploads, judged by the newest one; stores nothing itself."""
    sample = site.report("media")
    for place in sample["directories"]:
        if not place.get("writable"):
            yield broken(
                "media-not-writable",
                path=place["path"],
                mode=place.get("mode", place.get("error")),
                owner=place.get("owner", "unknown"),
                user=site.app_identity,
            )
            return
    prefix = site.report("settings")["MEDIA_URL"]
    url = prefix + quote(os.fsencode(sample["name"]))
    place = nginx_config.location(site.server, url)
    path = nginx_config.file_for(place, prefix + sample["name"]) if place else None
    if path is None:
        yield unknown("media", f"no location of nginx serves {prefix} from a directory")
        return
    if not sample["name"]:
        directory = path.rstrip("/")
        if site.stack.exec(site.nginx, "test", "-x", directory, user=site.nginx_identity).code:
            yield broken("media-permission-denied", **site.why_not("x", directory))
        else:
            yield ok("media", "nothing is uploaded yet; nginx may enter the directory")
        return

    status = site.get(url).status_code
    if status == 404:
        yield broken("media-missing", name=sample["newest"], path=path)
    elif status == 403:
        denied = site.why_not("r", path)
        yield broken("media-permission-denied", "{path}: {blame}".format(**denied), **denied)
    elif status == 200:
        yield ok("media", f"{url}, the newest upload, comes from nginx")
    else:
        yield unknown("media", f"nginx answers {status} for {url}")
