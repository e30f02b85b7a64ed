"""Hop `media`, from outside: do the page's images load, and are they safe?"""

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from whichhop.blackbox.view import View, author
from whichhop.finding import ANYBODY, Cause, Causes, Finding, by_hand, config, ok

CAUSES = Causes(
    {
        "media-missing": Cause(
            "media",
            "pictures are missing; 404",
            "There is nothing at {url}, which the page {page} shows: {author} answers 404.",
            config(
                "a location for MEDIA_URL whose alias is MEDIA_ROOT, on the same volume as Django's"
            ),
        ),
        "media-permission-denied": Cause(
            "media",
            "pictures are missing; 403",
            "{url} is refused (403).",
            config(
                "FILE_UPLOAD_PERMISSIONS = 0o644 (0o640 with a common group); for those that are there: chmod"
            ),
        ),
        "media-fails": Cause(
            "media",
            "pictures are missing",
            "{url}, which the page {page} shows, gets {status} ({type}).",
            by_hand("look at nginx's log for that address"),
        ),
        "media-sniffed": Cause(
            "media",
            "nothing",
            "{url} comes without nosniff: a browser may take an upload for a page, and run it.",
            config("add_header X-Content-Type-Options nosniff always; in the location of uploads"),
        ),
    }
)

broken = partial(CAUSES.broken, ANYBODY)
advice = partial(CAUSES.warning, ANYBODY)

MOST = 2  # images requested


def check(view: View) -> Iterator[Finding]:
    """Yield the faults of the page's images that are not static files."""
    if without := list(view.without_pages("media")):
        yield from without
        return
    folders = {folder(item.url) for item in view.links}
    shown = [(url, page.url) for page in view.pages for url in page.images if view.is_ours(url)]
    # Uploads first: this hop is about them.
    shown = sorted(shown, key=lambda item: folder(item[0]) in folders)[:MOST]
    for url, page in shown:
        answer = view.client.ask(url)
        if answer.status == 404:
            who = {"django": "Django", "nginx": "nginx"}.get(author(answer), "the site")
            yield broken("media-missing", answer, url=url, page=page, author=who)
            return
        if answer.status == 403:
            yield broken("media-permission-denied", answer, url=url)
            return
        if answer.status != 200 or not answer.type.startswith("image/"):
            words = {"status": answer.status, "type": answer.type or "no type"}
            yield broken("media-fails", answer, url=url, page=page, **words)
            return
        nosniff = answer.headers.get("X-Content-Type-Options", "").lower() == "nosniff"
        if not nosniff and folder(url) not in folders:
            yield advice("media-sniffed", answer, url=url)
            break
    paths = ", ".join(urlsplit(url).path for url, _ in shown)
    yield ok("media", f"{paths}: can be seen" if shown else "the page shows no picture of its own")


def folder(url: str) -> str:
    """Return the first folder of a URL, which usually selects nginx's location."""
    return "/".join(urlsplit(url).path.split("/")[:2])
