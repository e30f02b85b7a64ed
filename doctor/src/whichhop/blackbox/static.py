"""Hop `static`, from outside: do the page's style sheets and scripts load?"""

import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from whichhop.blackbox.view import Link, View, author
from whichhop.finding import ANYBODY, Cause, Causes, Finding, by_hand, config, ok
from whichhop.target.client import Answer

CAUSES = Causes(
    {
        "static-not-routed": Cause(
            "static",
            "pages without style; 404 from Django",
            "Django answers 404 for {url}: no location of nginx serves static files.",
            config("add to the server block: location {prefix} {{ alias /path/to/STATIC_ROOT/; }}"),
        ),
        "static-missing": Cause(
            "static",
            "pages without style; 404",
            "There is nothing at {url} ({status}), which the page {page} links.",
            by_hand(
                "manage.py collectstatic, into the directory that nginx serves; compare alias and root"
            ),
        ),
        "static-permission-denied": Cause(
            "static",
            "pages without style; 403",
            "{url} is refused (403).",
            by_hand(
                "let nginx's workers read STATIC_ROOT: r on the files, x on every directory above"
            ),
        ),
        "static-fails": Cause(
            "static",
            "pages without style",
            "{url}, which the page {page} links, gets {status}.",
            config("serve static files by nginx itself; they need neither Django nor a login"),
        ),
        "static-wrong-type": Cause(
            "static",
            "the browser refuses style sheets or scripts",
            "{url} comes as {type}.",
            config("include mime.types in nginx.conf"),
        ),
        "static-mixed-content": Cause(
            "static",
            "pages without style, only with https",
            "The page {page} links {url}, which a browser refuses: plain HTTP inside of HTTPS.",
            config("STATIC_URL = '/static/', without scheme and host; or tell Django the scheme"),
        ),
        "static-not-cached": Cause(
            "static",
            "slower than need be",
            "{url} has a hash in its name, and is not kept ({cache}).",
            config(
                'add_header Cache-Control "public, max-age=31536000, immutable"; for such names'
            ),
        ),
    }
)

broken = partial(CAUSES.broken, ANYBODY)
advice = partial(CAUSES.warning, ANYBODY)

DAY = 86_400

# The types that browsers accept for scripts: https://mimesniff.spec.whatwg.org/#javascript-mime-type
SCRIPT = re.compile(r"(text|application)/(x-)?(java|ecma)script")
HASHED = re.compile(r"[.-][0-9a-f]{8,}\.[a-z0-9]+$")


def check(view: View) -> Iterator[Finding]:
    """Yield the faults of the files that the front page (or the login page) links."""
    if without := list(view.without_pages("static")):
        yield from without
        return
    found: list[Finding] = []
    urls = []
    for link in view.links:
        mixed = link.page.startswith("https:") and link.url.startswith("http:")
        finding = (
            broken("static-mixed-content", page=link.page, url=link.url)
            if mixed
            else judge(view, link, view.client.ask(link.url))
        )
        if finding and finding.cause not in [item.cause for item in found]:
            found.append(finding)
        urls.append(urlsplit(link.url).path)
    yield from found
    right = f"{', '.join(urls)}: right type"
    yield ok("static", right if urls else "the page links no style sheet or script of its own")


def judge(view: View, link: Link, answer: Answer) -> Finding | None:
    """Return the faults of one file and what could be better."""
    words = {"url": link.url, "page": link.page, "status": answer.status, "type": answer.type}
    if answer.status == 404 and by_django(view, answer):
        prefix = "/" + urlsplit(link.url).path.split("/")[1] + "/"
        return broken("static-not-routed", answer, prefix=prefix, **words)
    if answer.status == 404:
        return broken("static-missing", answer, **words)
    if answer.status == 403:
        return broken("static-permission-denied", answer, **words)
    if answer.status != 200:
        return broken("static-fails", answer, **words)
    if link.is_style and answer.type != "text/css":
        return broken("static-wrong-type", f"Content-Type: {answer.type}", **words)
    if not link.is_style and not SCRIPT.fullmatch(answer.type):
        # Without nosniff, a browser runs a script whatever its type.
        strict = answer.headers.get("X-Content-Type-Options", "").lower() == "nosniff"
        say = broken if strict else advice
        return say("static-wrong-type", f"Content-Type: {answer.type}", **words)
    cache = answer.headers.get("Cache-Control", "")
    age = re.search(r"max-age=(\d+)", cache)
    if HASHED.search(urlsplit(link.url).path) and (not age or int(age[1]) < DAY):
        seen = f"Cache-Control: {cache}" if cache else "no Cache-Control"
        return advice("static-not-cached", answer, cache=seen, **words)
    return None


def by_django(view: View, answer: Answer) -> bool:
    """Return whether a 404 is Django's: by its text, or because any invented path gets the same page."""
    who = author(answer)
    if who or author(view.nowhere):
        return who == "django"
    title = re.search(r"<title>(.*?)</title>", view.nowhere.text, re.DOTALL)
    return bool(title and view.nowhere.status == 404 and title[0] in answer.text)
