"""
Hop `django`, from outside: the front page, error pages, forms, cookies, and which headers Django trusts.

A form is sent as a browser would, but empty: Django checks the CSRF token first, then rejects the empty
fields, and never checks a name and password.
"""

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from whichhop.blackbox.view import DEBUG, View, author
from whichhop.finding import ANYBODY, Cause, Causes, Finding, Verdict, by_hand, config, ok, unknown
from whichhop.target.client import Answer, Origin
from whichhop.target.page import Form, Page

CAUSES = Causes(
    {
        "no-python-application": Cause(
            "django",
            '500, "Internal Server Error" in 21 bytes',
            "uWSGI itself answers 500 for {url}: it could not load the site, or the error is outside Django.",
            by_hand(
                "its log has the traceback; need-app = true makes it fail at the start instead"
            ),
        ),
        "page-fails": Cause(
            "django",
            "500 on the page",
            "{url} is answered with {status}.",
            by_hand(
                "the site's log has the traceback; if it has none, let LOGGING send django.request to stderr"
            ),
        ),
        "host-refused": Cause(
            "django",
            "400 on every page, static files work",
            "Django refuses the host that it gets for {host}.",
            config(
                "add it to ALLOWED_HOSTS; if it is there, nginx tells Django another one: HTTP_HOST $http_host"
            ),
        ),
        "https-redirect-loop": Cause(
            "django",
            "too many redirects",
            "Django redirects {url} to itself: it takes https for http (SECURE_SSL_REDIRECT).",
            config(
                "whoever does TLS must say so: uwsgi_param HTTPS $https if_not_empty; or X-Forwarded-Proto and"
                " SECURE_PROXY_SSL_HEADER"
            ),
        ),
        "redirect-loop": Cause(
            "django",
            "too many redirects",
            "{url} is redirected in a circle ({location}).",
            by_hand("follow it with curl -IL; compare who redirects to where"),
        ),
        "redirect-port-lost": Cause(
            "django",
            "the browser lands on another port, where nothing is",
            "{url} is redirected to {location}: the port {port}, where visitors are, is lost.",
            config("HTTP_HOST must have it: uwsgi_param HTTP_HOST $http_host;"),
        ),
        "redirect-scheme-lost": Cause(
            "django",
            "https turns into http",
            "{url} is redirected to {location}: from https to http.",
            config(
                "tell Django the scheme: uwsgi_param HTTPS $https if_not_empty; or SECURE_PROXY_SSL_HEADER"
            ),
        ),
        "debug-on": Cause(
            "django",
            "error pages show source code",
            "DEBUG is on: {url} shows paths, addresses and settings to everybody.",
            config("DEBUG = False"),
        ),
        "secure-cookie-over-http": Cause(
            "django",
            "403, CSRF cookie not set, or the login form again and again",
            "{cookie} is Secure, so that a browser does not send it back over http (some make an exception"
            " for localhost).",
            config(
                "serve the site by https; without it: CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = False"
            ),
        ),
        "csrf-cookie-other-domain": Cause(
            "django",
            "403, CSRF cookie not set",
            "{cookie} is for {domain}, so that a browser does not keep it for {host}.",
            config("remove CSRF_COOKIE_DOMAIN, or set it to a domain that {host} is in"),
        ),
        "csrf-cookie-missing": Cause(
            "django",
            "403, CSRF cookie not set",
            "The form at {url} comes without a cookie.",
            config("no cache may keep pages with forms, and no hide_header may remove Set-Cookie"),
        ),
        "csrf-referrer-policy": Cause(
            "django",
            "403, Origin checking failed: null",
            "Referrer-Policy: no-referrer makes browsers hide where a form comes from; Django then refuses it.",
            config("Referrer-Policy same-origin"),
        ),
        "host-port-lost": Cause(
            "django",
            "403, CSRF verification failed, when a form is sent",
            "Django sees the host without its port: it takes forms from {accepted}, visitors are at {origin}.",
            config(
                "uwsgi_param HTTP_HOST $http_host; (proxy_set_header Host $http_host;), not $host"
            ),
        ),
        "csrf-origin-refused": Cause(
            "django",
            "403, CSRF verification failed, when a form is sent",
            "Django sees the wrong scheme: it takes forms from {accepted}, visitors are at {origin}.",
            config(
                "tell it the scheme: uwsgi_param HTTPS $https if_not_empty; behind a proxy that does TLS,"
                " X-Forwarded-Proto and SECURE_PROXY_SSL_HEADER"
            ),
        ),
        "proxy-host-lost": Cause(
            "django",
            "403, CSRF verification failed, when a form is sent",
            "Django sees another host than {host}: it refuses forms because of where they come from.",
            config("proxy_set_header Host $http_host; in every proxy on the way"),
        ),
        "csrf-refused": Cause(
            "django",
            "403 when a form is sent",
            "The login form at {url} is refused (403), though cookie, Origin and Referer were those of a browser.",
            by_hand(
                "Django's log has the reason (logger django.security.csrf), unless a firewall for web"
                " applications is in front; a page from a cache has an old token"
            ),
        ),
        "form-fails": Cause(
            "django",
            "an error when a form is sent",
            "The login form at {url}, sent empty, gets {status}.",
            by_hand("the logs of nginx and of the site have the reason"),
        ),
        "cookie-flags": Cause(
            "django",
            "nothing",
            "{cookie} is set without {missing}.",
            config("CSRF_COOKIE_SECURE, SESSION_COOKIE_SECURE and their _HTTPONLY and _SAMESITE"),
        ),
        "any-host": Cause(
            "django",
            "nothing",
            "The site answers for any host name, also for an invented one.",
            config("name the hosts in ALLOWED_HOSTS, and refuse others in nginx (default_server)"),
        ),
        "host-spoofable": Cause(
            "django",
            "nothing",
            "Django believes the X-Forwarded-Host of any visitor.",
            config(
                'USE_X_FORWARDED_HOST = False; or let nginx set it: uwsgi_param HTTP_X_FORWARDED_HOST "";'
            ),
        ),
        "scheme-spoofable": Cause(
            "django",
            "nothing",
            "Django (or uWSGI) believes the X-Forwarded-Proto of any visitor.",
            config(
                "let nginx set it: uwsgi_param HTTP_X_FORWARDED_PROTO $scheme; and HTTP_X_FORWARDED_SSL"
                ' ""; (proxy_set_header where it speaks HTTP)'
            ),
        ),
    }
)

broken = partial(CAUSES.broken, ANYBODY)
advice = partial(CAUSES.warning, ANYBODY)


def check(view: View) -> Iterator[Finding]:
    """Yield the faults of the site itself that a visitor can see."""
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
    """Yield the faults of Django's redirects on the way to the front page."""
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
    """Yield the faults of the front page."""
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
    """Yield whether the 404 page reveals more than it should."""
    if view.nowhere.status >= 400 and DEBUG.search(view.nowhere.text):
        yield broken("debug-on", view.nowhere, url=view.nowhere.url)


# -- forms


def forms(view: View) -> Iterator[Finding]:
    """Yield how the site answers an empty login form."""
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
    """Yield what the cookies lack that visitors get without logging in."""
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
    """Return why a form is refused; find out by sending variants of it until one is accepted."""
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

    # Django compares Origin with the scheme and host that it sees: the Origin that it accepts reveals them.
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
    """Return whether a client's X-Forwarded-Proto makes Django see another scheme."""
    origin = page.origin
    other = {"http": "https", "https": "http"}[origin.scheme]
    claim = {
        **view.client.as_browser(page),
        "Origin": f"{other}://{origin.netloc}",  # refused unless Django sees that scheme
        "Referer": f"{other}://{origin.netloc}/",
    }
    forwarded = {
        "X-Forwarded-Proto": other,
        "X-Forwarded-Ssl": "on" if other == "https" else "off",
    }
    believed = view.client.submit(form, {**claim, **forwarded}).status == 200
    return believed and view.client.submit(form, claim).status == 403


def trust(view: View) -> Iterator[Finding]:
    """Yield whether the site answers an invented host, or trusts one in X-Forwarded-Host."""
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
    """Return what identifies a page, without the parts that vary with the host or the time."""
    page = Page(answer.url, answer.text)
    return [page.title, *(urlsplit(url).path for url in (*page.styles, *page.scripts))]
