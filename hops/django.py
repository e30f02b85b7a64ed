"""Hop `django`: settings, the front page, and whether it sees the request as the client sent it."""

from collections.abc import Iterator

import requests

from hops.causes import broken
from hops.finding import Finding, blocked, ok, unknown
from hops.site import DATABASE_ERRORS, Site


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with the site itself; asks for the front page here and through nginx."""
    load = site.inside["load"]
    if "error" in load:
        yield broken("settings-broken", error=load["error"], place=load["place"])
        return
    settings, page = site.report("settings"), site.inside.get("page", {})
    if settings["DEBUG"]:
        yield broken("debug-on")
        return
    if page.get("type") in DATABASE_ERRORS or "page" not in site.inside:
        yield blocked("django", "database")
        return
    if "error" in page:
        yield broken("page-raises", error=page["error"], place=page["place"])
        return
    if page["status"] == 400:
        yield broken("host-refused", host=site.host, allowed=settings["ALLOWED_HOSTS"])
        return
    try:
        plain = site.get("/")
    except requests.RequestException as error:
        yield unknown("django", f"the front page is not answered: {error}")
        return
    if plain.status_code in (502, 503, 504):
        yield blocked("django", f"what makes nginx answer {plain.status_code}")
        return
    if plain.status_code == 400:
        yield broken("host-lost", host=site.host_header)
        return
    if max(plain.status_code, page["status"]) >= 500:
        yield broken("page-fails", through=plain.status_code, alone=page["status"])
        return
    yield ok("django", f"the front page is answered ({plain.status_code}); DEBUG is off")
