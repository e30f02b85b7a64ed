"""Hop `static`: does nginx serve the very files that this release collected?"""

import hashlib
import re
from collections.abc import Iterator

from hops import nginx_config
from hops.causes import broken
from hops.finding import Finding, ok, unknown
from hops.site import Site

TYPE = "text/css"


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with static files, judged by the admin's style sheet."""
    sample = site.report("static")
    url, collected = sample["url"], sample["file"]
    place = nginx_config.location(site.server, url)
    path = nginx_config.file_for(place, url) if place else None
    if place is None or path is None:
        yield unknown("static", f"no location of nginx serves {url} from a directory")
        return

    answer = site.get(url)
    log = site.last_lines(site.nginx, r"open\(\).*" + re.escape(path), 1)
    if answer.status_code == 404:
        yield broken(
            "static-missing",
            f"{place.place}: location {' '.join(place.words[1:])}",
            *log,
            path=path,
        )
    elif answer.status_code == 403:
        denied = site.why_not("r", path)
        yield broken("static-permission-denied", "{path}: {blame}".format(**denied), *log, **denied)
    elif answer.status_code != 200:
        yield unknown("static", f"nginx answers {answer.status_code} for {url}")
    elif answer.headers.get("Content-Type", "").split(";")[0] != TYPE:
        yield broken(
            "static-wrong-type", url=url, type=answer.headers.get("Content-Type", "nothing")
        )
    else:
        ours = site.stack.run(site.app, "sha256sum", collected).split()[0]
        theirs = hashlib.sha256(answer.content).hexdigest()
        if ours == theirs:
            yield ok("static", f"{url} is the file that was collected")
        else:
            yield broken(
                "static-stale", f"collected: sha256 {ours}", f"served: sha256 {theirs}", url=url
            )
