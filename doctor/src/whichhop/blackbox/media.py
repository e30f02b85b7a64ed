"""Hop `media`, from outside: do the pictures load that the page shows, and can they do no harm?"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from whichhop.blackbox import static
from whichhop.blackbox.causes import advice, broken
from whichhop.blackbox.view import View, author
from whichhop.finding import Finding, ok

MOST = 2  # pictures asked for


def check(view: View) -> Iterator[Finding]:
    """Yield what is wrong with the pictures of the page that are not among its static files."""
    if without := list(view.without_pages("media")):
        yield from without
        return
    folders = {folder(item.url) for item in static.links(view)}
    shown = [(url, page.url) for page in view.pages for url in page.images if view.is_ours(url)]
    # Uploads first: they are what this hop is about.
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
    """Return the first folder of an address: what nginx's locations go by."""
    return "/".join(urlsplit(url).path.split("/")[:2])
