"""Hop `django`: settings, the front page, and whether Django sees the request as the client sent it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests

from whichhop.checks import shared
from whichhop.finding import Cause, Causes, Finding, blocked, by_hand, config, ok, unknown
from whichhop.probes.site import PAGE_SECONDS
from whichhop.target import upstream
from whichhop.target.site import Site
from whichhop.target.site_report import DATABASE_ERRORS, Log, Settings, failed, known

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
            "links in mails lead to another site",
            "USE_X_FORWARDED_HOST is on, and nginx passes the visitor's own X-Forwarded-Host on.",
            config(
                "switch it off, or let nginx set the header: uwsgi_param HTTP_X_FORWARDED_HOST $http_host;"
            ),
        ),
    }
)


def check(site: Site) -> Iterator[Finding]:
    """Yield the faults of the site itself; request the front page beside uWSGI and through nginx."""
    if wrong := failed(site.app.report.load):
        if not wrong.place and _answers(site):
            reason = f"the site works, but cannot be loaded once more to look at it: {wrong.error}"
            yield unknown("django", reason)
        else:
            yield CAUSES.broken(site, "settings-broken", error=wrong.error, place=wrong.place)
        return
    if not site.app.report.has_django:
        yield _another_framework(site)
        return
    if found := _settings(site) or _urls(site):
        yield found
        return
    yield from _page(site)


def _answers(site: Site) -> bool:
    """Return whether the running site answers: if so, a failure in the probe may be the probe's own."""
    try:
        return site.visitor.get("/").status_code < 500
    except requests.RequestException:
        return False


def _another_framework(site: Site) -> Finding:
    status = site.visitor.get("/").status_code
    if status >= 500:
        return unknown("django", f"the app is not a Django site, and answers {status}")
    return ok("django", f"the app is not a Django site; it answers {status}")


def _settings(site: Site) -> Finding | None:
    wrong = failed(site.app.report.settings)
    if wrong and "SECRET_KEY" in wrong.error:
        return CAUSES.broken(site, "secret-key-empty", wrong.error)
    settings = known(site.app.report.settings)
    if not settings.has_secret_key:
        return CAUSES.broken(site, "secret-key-empty")
    return CAUSES.broken(site, "debug-on") if settings.debug else None


def _urls(site: Site) -> Finding | None:
    wrong = failed(site.app.report.urls)
    if wrong and wrong.type not in DATABASE_ERRORS:
        if _answers(site):
            return unknown("django", f"the site works, but a copy of it does not: {wrong.error}")
        return CAUSES.broken(site, "urlconf-broken", error=wrong.error, place=wrong.place)
    return None


def _page(site: Site) -> Iterator[Finding]:
    report = site.app.report
    if (report.sqlite and report.sqlite.error) or failed(report.connect):
        yield blocked("django", "database")
        return
    settings, alone = known(report.settings), 200  # it may work with the headers that nginx adds
    if wrong := failed(report.page):
        words = {"error": wrong.error, "place": wrong.place}
        if wrong.type in DATABASE_ERRORS:
            yield blocked("django", "database")
            return
        if "Missing staticfiles manifest entry" in wrong.error:
            yield shared.CAUSES.broken(site, "static-manifest-entry-missing", **words)
            return
        if wrong.type == "TimeoutError" and not wrong.place:
            yield CAUSES.broken(site, "page-hangs", wrong.error, seconds=PAGE_SECONDS)
            return
        if not _answers(site):
            yield CAUSES.broken(site, "page-raises", **words)
            return
    else:
        alone = known(report.page).status
    if alone == 400:
        yield CAUSES.broken(
            site, "host-refused", host=site.visitor.host, allowed=settings.allowed_hosts
        )
        return
    try:
        answer = site.visitor.get("/")
    except requests.RequestException as error:
        yield unknown("django", f"the front page is not answered: {error}")
        return
    status = answer.status_code
    if status in (502, 503, 504):
        yield blocked("django", f"what makes nginx answer {status}")
    elif status == 400:
        yield _host_lost(site)
    elif max(status, alone) >= 500:
        yield CAUSES.broken(site, "page-fails", through=status, alone=alone)
    elif found := _redirects(site, answer) or _form(site, settings):
        yield found
    else:
        yield ok("django", f"the front page is answered ({status}); DEBUG is off")
        yield from _later(site, settings)


def _host_lost(site: Site) -> Finding:
    """Return the host that nginx passes to Django instead of the visitor's."""
    passed = site.link.upstream
    if passed.protocol == "http":
        told = upstream.params(passed).get("Host", "$proxy_host")
        name = passed.directive.words[1] if told == "$proxy_host" else told
        return CAUSES.broken(site, "proxy-host-lost", passed.directive.place, told=name)
    told = upstream.params(passed).get("HTTP_HOST", "")
    return CAUSES.broken(
        site, "host-lost", f"HTTP_HOST {told}" if told else "", host=site.visitor.host_header
    )


def _redirects(site: Site, answer: requests.Response) -> Finding | None:
    """Return that Django redirects visitors to https who already use it, or never can."""
    location = answer.headers.get("Location", "")
    target = urlsplit(location)
    if not (300 <= answer.status_code < 400 and target.scheme == "https" and target.path == "/"):
        return None
    if target.hostname != site.visitor.host:
        return None
    url = f"{urlsplit(site.visitor.endpoint.url).scheme}://{site.visitor.host_header}/"
    return CAUSES.broken(site, "https-redirect-loop", url=url, location=location)


def _form(site: Site, settings: Settings) -> Finding | None:
    """
    Send the login form empty, as a browser would, and return what rejects it.

    If all is well, the form's own validation rejects it, before any name or password is checked.
    https://docs.djangoproject.com/en/stable/ref/csrf/#how-it-works
    """
    login = known(site.app.report.urls).login
    if not login:
        return None
    form = site.visitor.get(login)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)
    cookie = form.cookies.get(settings.csrf_cookie_name)
    if form.status_code != 200 or not token or not cookie:
        return None
    # The scheme that the visitor uses: nginx's own, or that of the TLS proxy in front of it.
    scheme = "https" if site.visitor.behind_tls else urlsplit(site.visitor.endpoint.url).scheme
    if scheme == "http" and settings.csrf_cookie_secure:
        return CAUSES.broken(site, "secure-cookie-over-http", f"Set-Cookie: {cookie[:4]}…; Secure")
    origin = f"{scheme}://{site.visitor.host_header}"
    answer = site.visitor.post(
        login,
        {"csrfmiddlewaretoken": token[1], "username": "", "password": ""},
        Origin=origin,
        Referer=origin + login,
        Cookie=f"{settings.csrf_cookie_name}={cookie}",
    )
    if answer.status_code != 403:
        return None
    trusted = f"CSRF_TRUSTED_ORIGINS = {settings.csrf_trusted_origins}"
    return CAUSES.broken(site, "csrf-origin-refused", f"POST {login}: 403", trusted, origin=origin)


def _later(site: Site, settings: Settings) -> Iterator[Finding]:
    """Yield what does not affect the front page, but error logs, or users who trust a link."""
    log = site.app.report.log
    if isinstance(log, Log) and not log.handlers:
        yield CAUSES.warning(site, "errors-not-logged")
    told = upstream.params(site.link.upstream)
    if settings.use_x_forwarded_host and not {"HTTP_X_FORWARDED_HOST", "X-Forwarded-Host"} & {
        *told
    }:
        yield CAUSES.warning(site, "host-spoofable")
