"""Hop `media`: may Django store uploads, and does nginx serve what it stored?"""

from collections.abc import Iterator
from urllib.parse import quote

from hops import nginx_config
from hops.causes import broken
from hops.finding import Finding, blocked, ok, unknown
from hops.site import Site


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with uploads, judged by the newest one; stores nothing itself."""
    if not site.state(site.app).running:
        yield blocked("media", "uwsgi: only the app knows where uploads are")
        return
    sample = site.report("media")
    directory = sample["directory"]
    if not directory.get("writable"):
        yield broken(
            "media-not-writable",
            path=directory["path"],
            mode=directory.get("mode", directory.get("error")),
            owner=directory.get("owner", "nobody"),
        )
        return
    prefix = site.report("settings")["MEDIA_URL"]
    url = prefix + quote(sample["name"])
    place = nginx_config.location(site.server, url)
    path = nginx_config.file_for(place, prefix + sample["name"]) if place else None
    if path is None:
        yield unknown("media", f"no location of nginx serves {prefix} from a directory")
        return
    if not sample["name"]:
        where, blame = site.why_not("r", path.rstrip("/"))
        if not where:
            yield ok("media", "nothing is uploaded yet; nginx may read the directory")
        else:
            yield broken(
                "media-permission-denied", identity=site.nginx_identity, path=where, blame=blame
            )
        return

    status = site.get(url).status_code
    if status == 404:
        yield broken("media-missing", name=sample["newest"]["path"], path=path)
    elif status == 403:
        where, blame = site.why_not("r", path)
        yield broken(
            "media-permission-denied",
            f"{where}: {blame}",
            identity=site.nginx_identity,
            path=where,
            blame=blame,
        )
    elif status == 200:
        yield ok("media", f"{url}, the newest upload, comes from nginx")
    else:
        yield unknown("media", f"nginx answers {status} for {url}")
