"""
Hop `django`, from outside: the front page, error pages, forms, cookies, and whom Django believes.

A form is tried as a browser sends it, but empty: Django judges the CSRF token first, then the empty
fields, and never asks whether anybody has that name and password.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from whichhop.blackbox.causes import advice, broken
from whichhop.blackbox.view import DEBUG, View, author
from whichhop.finding import Finding, Verdict, ok, unknown
from whichhop.target.client import Answer, Origin
from whichhop.target.page import Form, Page


def check(view: View) -> Iterator[Finding]:
    """Yield what is wrong with the site itself, as far as a visitor can see."""
    found = [*redirects(view), *front(view)]
    yield from found
    if any(finding.verdict is Verdict.BROKEN for finding in found):
        return
    if view.visit.page is None:
        yield unknown("django", f"the site leads to {view.visit.elsewhere}: ask there")
        return
    yield from errors(view)
    yield from forms(view)
    yield from cookies(view)
    yield from trust(view)
    form = "the login form can be sent" if view.login else "no login form was found to try"
    yield ok("django", f"the front page is answered ({view.front.status}); {form}")


# -- pages


def redirects(view: View) -> Iterator[Finding]:
    """Yield what is wrong with where Django sends visitors on their way to the front page."""
    for answer in view.visit.answers:
        if not answer.location:
            continue
        here, there = answer.origin, Origin.of(answer.location)
        words = {"url": answer.url, "location": answer.location}
        if view.visit.loop and answer is view.visit.answers[-1]:
            itself = answer.location == answer.url
            by_django = itself and here.scheme == "https" and author(answer) == "django"
            cause = "https-redirect-loop" if by_django else "redirect-loop"
            yield broken(cause, *view.visit.answers, **words)
        elif here.host == there.host and here.scheme == there.scheme and here.port != there.port:
            yield broken("redirect-port-lost", answer, port=here.port, **words)
        elif here.host == there.host and (here.scheme, there.scheme) == ("https", "http"):
            yield advice("redirect-scheme-lost", answer, **words)


def front(view: View) -> Iterator[Finding]:
    """Yield what is wrong with the front page."""
    page = view.visit.page
    if page is None:
        return
    words = {"url": page.url, "status": page.status, "host": view.client.origin.host}
    if page.status == 400 and author(page) == "django":
        yield broken("host-refused", page, **words)
        if DEBUG.search(page.text):
            yield broken("debug-on", page, **words)
    elif page.status >= 400 and DEBUG.search(page.text):
        yield broken("debug-on", page, **words)
    elif page.status == 500 and author(page) == "uwsgi":
        yield broken("no-python-application", page, **words)
    elif page.status >= 500:
        yield broken("page-fails", page, **words)
    elif page.status == 404 and author(page) == "nginx":
        yield unknown("django", "nginx itself says that there is no front page (404)", str(page))
    elif page.status >= 400 and page.status != 404:
        yield unknown("django", f"the front page is not for everybody ({page.status})", str(page))


def errors(view: View) -> Iterator[Finding]:
    """Yield whether the page for what is not there shows more than that."""
    if view.nowhere.status >= 400 and DEBUG.search(view.nowhere.text):
        yield broken("debug-on", view.nowhere, url=view.nowhere.url)


# -- forms


def forms(view: View) -> Iterator[Finding]:
    """Yield what happens to an empty login form."""
    if view.login is None:
        return
    page, form = view.login
    answer = view.client.submit(form, view.client.as_browser(page))
    if answer.status == 403:
        yield why_refused(view, page, form, answer)
        return
    if answer.status >= 500:
        yield broken("form-fails", answer, url=page.url, status=answer.status)
        return
    if answer.status >= 400:
        yield unknown("django", "the empty login form is not judged", str(answer))
    elif spoofed(view, page, form):
        yield advice(
            "scheme-spoofable",
            f"POST {form.action}: another scheme in both Origin and X-Forwarded-Proto",
        )


def cookies(view: View) -> Iterator[Finding]:
    """Yield what the cookies lack that a visitor gets without logging in."""
    for page in filter(None, (view.visit.page, view.login and view.login[0])):
        for cookie in page.cookies:
            needed = {
                "Secure": page.origin.scheme == "https",
                "HttpOnly": cookie.name == "sessionid",
            }
            there = cookie.attributes
            missing = [name for name, need in needed.items() if need and name.lower() not in there]
            if missing:
                seen = f"Set-Cookie: {'; '.join([f'{cookie.name}=…', *there])}"
                yield advice(
                    "cookie-flags", seen, cookie=cookie.name, missing=" and ".join(missing)
                )
                return


def why_refused(view: View, page: Answer, form: Form, refusal: Answer) -> Finding:
    """Return why a form is refused, by sending it in other ways until one is taken."""
    origin = page.origin
    browser = view.client.as_browser(page)
    sender = view.client.as_browser(page, every_cookie=True)

    def taken(**headers: str) -> bool:
        return view.client.submit(form, {**sender, **headers}).status < 400

    if not page.cookies:
        return broken("csrf-cookie-missing", refusal, url=page.url)
    lost = next((cookie for cookie in page.cookies if cookie.dropped(origin)), None)
    if lost and taken():
        why = lost.dropped(origin)
        seen = f"Set-Cookie: {lost.name}=…; {why}"
        if why == "Secure":
            return broken("secure-cookie-over-http", seen, cookie=lost.name)
        domain = lost.attributes["domain"]
        words = {"cookie": lost.name, "domain": domain, "host": origin.host}
        return broken("csrf-cookie-other-domain", seen, **words)
    if browser["Origin"] == "null" and taken(Origin=str(origin), Referer=page.url):
        policy = page.headers.get("Referrer-Policy")
        return broken("csrf-referrer-policy", f"{page.url}: Referrer-Policy: {policy}")

    # Django compares Origin with the scheme and host that it sees: the one it takes tells them.
    other = {"http": "https", "https": "http"}[origin.scheme]
    bare = f"[{origin.host}]" if ":" in origin.host else origin.host
    for accepted in dict.fromkeys(
        (f"{other}://{origin.netloc}", f"{origin.scheme}://{bare}", f"{other}://{bare}")
    ):
        if accepted != str(origin) and taken(Origin=accepted, Referer=f"{accepted}/"):
            right_scheme = accepted.startswith(f"{origin.scheme}:")
            cause = "host-port-lost" if right_scheme else "csrf-origin-refused"
            seen = f"Origin: {origin} gets 403, Origin: {accepted} does not"
            return broken(cause, seen, accepted=accepted, origin=origin)
    del sender["Origin"]
    if taken():
        seen = f"Origin: {origin} gets 403, no Origin does not"
        return broken("proxy-host-lost", seen, host=origin.netloc)
    return broken("csrf-refused", refusal, url=page.url)


# -- trust


def spoofed(view: View, page: Answer, form: Form) -> bool:
    """Whether a client's X-Forwarded-Proto makes Django see another scheme."""
    origin = page.origin
    other = {"http": "https", "https": "http"}[origin.scheme]
    claim = {
        **view.client.as_browser(page),
        "Origin": f"{other}://{origin.netloc}",  # refused, unless Django sees that scheme
        "Referer": f"{other}://{origin.netloc}/",
    }
    forwarded = {
        "X-Forwarded-Proto": other,
        "X-Forwarded-Ssl": "on" if other == "https" else "off",
    }
    believed = view.client.submit(form, {**claim, **forwarded}).status == 200
    return believed and view.client.submit(form, claim).status == 403


def trust(view: View) -> Iterator[Finding]:
    """Yield whether an invented host is answered, or believed when it stands in X-Forwarded-Host."""
    page, host = view.front, f"{view.invented}.invalid"
    if page.status != 200:
        return
    answer = view.client.ask(page.url, {"Host": host})
    if answer.status == 200 and looks(page) == looks(answer):
        yield advice("any-host", f"Host: {host}: {answer.status}, {looks(answer)[0].strip()}")
    answer = view.client.ask(page.url, {"X-Forwarded-Host": host})
    if answer.status == 400 or host in answer.location or host in answer.text:
        yield advice("host-spoofable", f"X-Forwarded-Host: {host}: {answer}")


def looks(answer: Answer) -> list[str]:
    """Return what makes a page this page, whatever it is called and whatever the hour."""
    page = Page(answer.url, answer.text)
    return [page.title, *(urlsplit(url).path for url in (*page.styles, *page.scripts))]
