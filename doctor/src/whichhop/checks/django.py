"""Hop `django`: settings, the front page, and whether it sees the request as the client sent it."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from whichhop.checks import shared
from whichhop.finding import Cause, Causes, Finding, blocked, by_hand, config, ok, unknown
from whichhop.probes.site import PAGE_SECONDS
from whichhop.target import upstream
from whichhop.target.site import DATABASE_ERRORS, Site

CAUSES = Causes(
    {
        "settings-broken": Cause(
            "django",
            "502, 503 or 500 on every page",
            "The site cannot be loaded: {error} ({place}).",
            by_hand("correct that line, then docker compose up --build --wait"),
        ),
        "secret-key-empty": Cause(
            "django",
            "500 on every page, and nothing in the log",
            "SECRET_KEY is empty: uWSGI loads the site, and every request fails.",
            config(
                "give it a value (a variable of .env that does not reach the container?), and let the settings"
                " raise an error without one"
            ),
        ),
        "urlconf-broken": Cause(
            "django",
            "502 (not 500) on every page, though uWSGI started",
            "The URLconf cannot be imported: {error} ({place}).",
            by_hand(
                "correct that line, then docker compose up --build --wait; manage.py check finds it before"
            ),
        ),
        "page-raises": Cause(
            "django",
            "500 on the page",
            "The front page raises {error} ({place}).",
            by_hand("correct that line, then docker compose up --build --wait"),
        ),
        "page-hangs": Cause(
            "django",
            "504 after the time limit",
            "The site needs more than {seconds} s for its front page, also when it is asked alone.",
            by_hand(
                "find what it waits for: a query without an end, a lock, a service that does not answer"
            ),
        ),
        "page-fails": Cause(
            "django",
            "500 on the page",
            "The front page is answered with {through} through nginx, with {alone} by the site alone.",
            by_hand(
                "where the two differ, nginx answers by itself or tells the site something else: compare"
                " uwsgi_params; else the site's log has the reason: docker compose logs {app}"
            ),
        ),
        "host-lost": Cause(
            "django",
            "400 on every page, static files work",
            "Django refuses the host that nginx tells it for {host}, which it would accept itself.",
            config("set HTTP_HOST in uwsgi_params to the host and port of the request"),
        ),
        "proxy-host-lost": Cause(
            "django",
            "400 on every page, static files work",
            "nginx tells Django the host {told}, because proxy_pass sends its own address unless told not to.",
            config(
                "proxy_set_header Host $http_host; or uwsgi_pass, which passes the visitor's on"
            ),
        ),
        "host-refused": Cause(
            "django",
            "400 on every page, static files work",
            "Django refuses the host {host}, under which nginx serves the site: ALLOWED_HOSTS is {allowed}.",
            config("add the host that visitors type"),
        ),
        "https-redirect-loop": Cause(
            "django",
            "too many redirects",
            "Django redirects {url} to {location}: SECURE_SSL_REDIRECT is on, and it never learns that a"
            " visitor came by https.",
            config(
                "whoever does TLS sends X-Forwarded-Proto, nginx passes it on, and SECURE_PROXY_SSL_HEADER names"
                " it; without TLS, switch SECURE_SSL_REDIRECT off"
            ),
        ),
        "secure-cookie-over-http": Cause(
            "django",
            "403, CSRF cookie not set; logging in leads back to the form",
            "Django marks its cookies Secure, but visitors come by http, and browsers do not send them.",
            config(
                "serve the site by https, or switch CSRF_COOKIE_SECURE and SESSION_COOKIE_SECURE off"
            ),
        ),
        "csrf-origin-refused": Cause(
            "django",
            "403, CSRF verification failed, when a form is sent",
            "A form sent from {origin} is refused: Django takes itself for another address.",
            config(
                "let nginx pass scheme, host and port on as the visitor sent them; else"
                " CSRF_TRUSTED_ORIGINS = ['{origin}']"
            ),
        ),
        "debug-on": Cause(
            "django",
            "error pages show source code",
            "DEBUG is on: an error shows source code and settings to whoever causes it.",
            config("DEBUG = False, then docker compose up --wait"),
        ),
        "errors-not-logged": Cause(
            "django",
            "500, and nothing in any log",
            "When a view fails nobody learns why: without DEBUG, Django logs errors only by mail.",
            config("a StreamHandler for the root logger in LOGGING"),
        ),
        "host-spoofable": Cause(
            "django",
            "links in mails lead to a stranger's site",
            "USE_X_FORWARDED_HOST is on, and nginx passes the visitor's own X-Forwarded-Host on.",
            config(
                "switch it off, or let nginx set the header: uwsgi_param HTTP_X_FORWARDED_HOST $http_host;"
            ),
        ),
    }
)


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with the site itself; asks for the front page here and through nginx."""
    load = site.inside["load"]
    if "error" in load:
        if not load["place"] and _answers(site):
            reason = (
                f"the site works, but cannot be loaded once more to look at it: {load['error']}"
            )
            yield unknown("django", reason)
        else:
            yield CAUSES.broken(site, "settings-broken", error=load["error"], place=load["place"])
        return
    if not load["django"]:
        yield _another_framework(site)
        return
    wrong = _settings(site) or _urls(site)
    if wrong:
        yield wrong
        return
    yield from _page(site)


def _answers(site: Site) -> bool:
    """Whether the running site answers: then what fails in our copy of it may be our own fault."""
    try:
        return site.get("/").status_code < 500
    except requests.RequestException:
        return False


def _another_framework(site: Site) -> Finding:
    status = site.get("/").status_code
    if status >= 500:
        return unknown("django", f"the app is not a Django site, and answers {status}")
    return ok("django", f"the app is not a Django site; it answers {status}")


def _settings(site: Site) -> Finding | None:
    if "SECRET_KEY" in site.inside["settings"].get("error", ""):
        return CAUSES.broken(site, "secret-key-empty", site.inside["settings"]["error"])
    settings = site.report("settings")
    if not settings["has_secret_key"]:
        return CAUSES.broken(site, "secret-key-empty")
    return CAUSES.broken(site, "debug-on") if settings["DEBUG"] else None


def _urls(site: Site) -> Finding | None:
    urls = site.inside.get("urls", {})
    if "error" in urls and urls["type"] not in DATABASE_ERRORS:
        if _answers(site):
            return unknown("django", f"the site works, but a copy of it does not: {urls['error']}")
        return CAUSES.broken(site, "urlconf-broken", error=urls["error"], place=urls["place"])
    return None


def _page(site: Site) -> Iterator[Finding]:
    if "error" in site.inside.get("sqlite", {}) or "error" in site.inside.get("connect", {}):
        yield blocked("django", "database")
        return
    settings, page = site.report("settings"), site.page
    if page.get("type") in DATABASE_ERRORS:
        yield blocked("django", "database")
        return
    if "Missing staticfiles manifest entry" in page.get("error", ""):
        words = {"error": page["error"], "place": page["place"]}
        yield shared.CAUSES.broken(site, "static-manifest-entry-missing", **words)
        return
    if page.get("type") == "TimeoutError" and not page["place"]:
        yield CAUSES.broken(site, "page-hangs", page["error"], seconds=PAGE_SECONDS)
        return
    if "error" in page and not _answers(site):
        yield CAUSES.broken(site, "page-raises", error=page["error"], place=page["place"])
        return
    if "error" in page:
        page = {"status": 200}  # with what nginx adds, it works
    if page["status"] == 400:
        yield CAUSES.broken(site, "host-refused", host=site.host, allowed=settings["ALLOWED_HOSTS"])
        return
    try:
        answer = site.get("/")
    except requests.RequestException as error:
        yield unknown("django", f"the front page is not answered: {error}")
        return
    status = answer.status_code
    if status in (502, 503, 504):
        yield blocked("django", f"what makes nginx answer {status}")
    elif status == 400:
        yield _host_lost(site)
    elif max(status, page["status"]) >= 500:
        yield CAUSES.broken(site, "page-fails", through=status, alone=page["status"])
    elif wrong := _redirects(site, answer) or _form(site, settings):
        yield wrong
    else:
        yield ok("django", f"the front page is answered ({status}); DEBUG is off")
        yield from _later(site, settings)


def _host_lost(site: Site) -> Finding:
    """Return what nginx tells Django instead of the visitor's host."""
    passed = site.upstream
    if passed.protocol == "http":
        told = upstream.params(passed).get("Host", "$proxy_host")
        name = passed.directive.words[1] if told == "$proxy_host" else told
        return CAUSES.broken(site, "proxy-host-lost", passed.directive.place, told=name)
    told = upstream.params(passed).get("HTTP_HOST", "")
    return CAUSES.broken(
        site, "host-lost", f"HTTP_HOST {told}" if told else "", host=site.host_header
    )


def _redirects(site: Site, answer: requests.Response) -> Finding | None:
    """Return that Django sends a visitor to https who is there already, or who can never be."""
    location = answer.headers.get("Location", "")
    target = urlsplit(location)
    if not (300 <= answer.status_code < 400 and target.scheme == "https" and target.path == "/"):
        return None
    if target.hostname != site.host:
        return None
    url = f"{urlsplit(site.door.url).scheme}://{site.host_header}/"
    return CAUSES.broken(site, "https-redirect-loop", url=url, location=location)


def _form(site: Site, settings: dict[str, Any]) -> Finding | None:
    """
    Send the login form back empty, as a browser would, and return what refuses it.

    An empty form is refused by the form itself, before any name or password is looked at.
    https://docs.djangoproject.com/en/stable/ref/csrf/#how-it-works
    """
    login = site.report("urls")["login"]
    if not login:
        return None
    form = site.get(login)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)
    cookie = form.cookies.get(settings["CSRF_COOKIE_NAME"])
    if form.status_code != 200 or not token or not cookie:
        return None
    # The scheme that the visitor types: nginx's own, or that of the TLS proxy in front of it.
    scheme = "https" if site.behind_tls else urlsplit(site.door.url).scheme
    if scheme == "http" and settings["CSRF_COOKIE_SECURE"]:
        return CAUSES.broken(site, "secure-cookie-over-http", f"Set-Cookie: {cookie[:4]}…; Secure")
    origin = f"{scheme}://{site.host_header}"
    answer = site.post(
        login,
        {"csrfmiddlewaretoken": token[1], "username": "", "password": ""},
        Origin=origin,
        Referer=origin + login,
        Cookie=f"{settings['CSRF_COOKIE_NAME']}={cookie}",
    )
    if answer.status_code != 403:
        return None
    trusted = f"CSRF_TRUSTED_ORIGINS = {settings['CSRF_TRUSTED_ORIGINS']}"
    return CAUSES.broken(site, "csrf-origin-refused", f"POST {login}: 403", trusted, origin=origin)


def _later(site: Site, settings: dict[str, Any]) -> Iterator[Finding]:
    """Yield what does no harm to the front page, but to those who look for an error, or trust a link."""
    log = site.inside.get("log", {})
    if "handlers" in log and not log["handlers"]:
        yield CAUSES.warning(site, "errors-not-logged")
    told = upstream.params(site.upstream)
    if settings["USE_X_FORWARDED_HOST"] and not {"HTTP_X_FORWARDED_HOST", "X-Forwarded-Host"} & {
        *told
    }:
        yield CAUSES.warning(site, "host-spoofable")
