"""
What can be named from outside, ``whichhop --url``: the table of whichhop/causes.py, in other words.

A slug that both tables have is the same cause. Inside, files, services and settings can be named;
here, only what any visitor sees.
"""

from whichhop.causes import Cause, finding
from whichhop.finding import Finding, Verdict

OUTSIDE = {
    # -- port
    "name-unknown": Cause(
        "port",
        "server not found",
        "The name {host} leads to no address ({error}).",
        "correct the name, or add it to the DNS",
    ),
    "connection-refused": Cause(
        "port",
        "connection refused",
        "Nothing takes connections on {address}.",
        "start nginx; publish its port on 0.0.0.0, not on 127.0.0.1; compare the port",
    ),
    "connection-times-out": Cause(
        "port",
        "the browser waits for ever",
        "No answer at all comes from {address} ({error}).",
        "open the port in the firewall or security group; check that the address is the server's",
    ),
    "address-family-dead": Cause(
        "port",
        "some visitors wait, or cannot come in",
        "{host} has the address {address}, which takes no connections ({error}); {other} does.",
        "make nginx listen there too ('listen [::]:80' for IPv6), or take the address out of the DNS",
    ),
    "http-to-tls-port": Cause(
        "port",
        "400, The plain HTTP request was sent to HTTPS port",
        "{address} speaks TLS, and was asked in plain HTTP.",
        "ask https://{netloc}; behind a proxy: proxy_pass https://…, or its plain port",
    ),
    "not-http": Cause(
        "port",
        "the browser says: invalid response, or connection reset",
        "What takes connections on {address} does not speak HTTP ({error}).",
        "publish the port of nginx, not the uwsgi socket (or another service) behind it",
    ),
    # -- tls
    "tls-plain-port": Cause(
        "tls",
        "wrong version number; a record too long",
        "{address} speaks plain HTTP, and was asked for TLS.",
        "put 'ssl' behind this port in nginx's listen, or publish the port that has it",
    ),
    "https-refused": Cause(
        "tls",
        "connection refused, after a redirect",
        "Plain HTTP leads to {origin}, where nothing takes connections ({error}).",
        "publish the port of https too, or do not redirect; check the firewall",
    ),
    "tls-handshake-fails": Cause(
        "tls",
        "secure connection failed",
        "The server breaks off the handshake for {host}: {error}.",
        "look for a server block with this server_name, 'listen … ssl' and a certificate, and without"
        " ssl_reject_handshake; allow TLS 1.2 and 1.3 (ssl_protocols)",
    ),
    "tls-certificate-expired": Cause(
        "tls",
        "the browser warns: certificate expired",
        "The certificate for {host} ended on {end}.",
        "renew it, then nginx -s reload; if it is renewed, nginx was not reloaded",
    ),
    "tls-certificate-not-yet-valid": Cause(
        "tls",
        "the browser warns: certificate not yet valid",
        "The certificate for {host} begins on {begin}.",
        "correct the clock of this machine, or of the one that made the certificate",
    ),
    "tls-certificate-other-name": Cause(
        "tls",
        "the browser warns: wrong name",
        "The certificate is not for {host}, but for {names}.",
        "get one for {host}; or put it into the server block that has this server_name: without one"
        " the default server's is shown",
    ),
    "tls-certificate-self-signed": Cause(
        "tls",
        "the browser warns: unknown issuer",
        "The certificate for {host} is signed by itself.",
        "get one from an authority, such as Let's Encrypt",
    ),
    "tls-chain-incomplete": Cause(
        "tls",
        "some clients refuse the certificate, browsers often do not",
        "The certificate for {host} comes without the intermediate one of {issuer}.",
        "ssl_certificate must name the full chain (fullchain.pem), not the certificate alone",
    ),
    "tls-authority-unknown": Cause(
        "tls",
        "the browser warns: unknown issuer",
        "The certificate for {host} is by {issuer}, whom this machine does not trust.",
        "get one from a public authority; or give the private one's certificate to every client",
    ),
    "tls-certificate-refused": Cause(
        "tls",
        "the browser warns",
        "This machine refuses the certificate for {host}: {error}.",
        "have a new certificate made",
    ),
    "tls-certificate-ends-soon": Cause(
        "tls",
        "nothing yet",
        "The certificate for {host} ends in {days} days, on {end}.",
        "find out why it was not renewed; nginx needs a reload to see a new one",
    ),
    "no-https": Cause(
        "tls",
        "the browser says: not secure",
        "The site is public and speaks plain HTTP: everybody on the way reads along, passwords included.",
        "serve it by HTTPS",
    ),
    "no-https-redirect": Cause(
        "tls",
        "the browser says: not secure",
        "The site is there by plain HTTP, too: {url} is answered ({status}), not sent to https.",
        "in the server block of port 80: return 301 https://$host$request_uri;",
    ),
    "https-redirect-loses-path": Cause(
        "tls",
        "old links lead to the front page",
        "{url} is redirected to {location}: the path is lost.",
        "return 301 https://$host$request_uri;",
    ),
    # -- nginx
    "does-not-answer": Cause(
        "nginx",
        "the browser waits for ever",
        "{address} takes connections, but {url} is not answered ({error}).",
        "look at nginx's log: a line for the request, or a limit reached, or no line at all",
    ),
    "other-server-answers": Cause(
        "nginx",
        '"Welcome to nginx!"',
        "For {host} nginx shows its own first page, not the site.",
        "give the site's server block this server_name, remove the distribution's default site",
    ),
    "host-not-served": Cause(
        "nginx",
        "421 Misdirected Request",
        "The server says that it does not serve {host} (421).",
        "add the name to server_name",
    ),
    "app-not-reached": Cause(
        "nginx",
        "502 Bad Gateway, 503 Service Unavailable",
        "{server} answers {status} for {url}: it gets nothing from the app behind it.",
        "whichhop on that machine names the cause; by hand: is the app up, does its socket or"
        " port match uwsgi_pass, may nginx connect to it? 503 is also what limit_req answers",
    ),
    "page-too-slow": Cause(
        "nginx",
        "504 Gateway Time-out",
        "{server} answers 504 for {url}: the app did not answer in time.",
        "look what its workers do; whichhop on that machine tells busy from stuck",
    ),
    "nginx-redirect-loop": Cause(
        "nginx",
        "too many redirects",
        "nginx redirects {url} to itself ({location}).",
        "redirect only in the server block of port 80; behind a proxy that does TLS, let the proxy do it",
    ),
    "version-shown": Cause(
        "nginx",
        "nothing",
        "Every answer tells which version runs: {server}.",
        "nginx: server_tokens off;",
    ),
    "development-server": Cause(
        "nginx",
        "slow pages; no static files without DEBUG",
        "Django's development server answers here ({server}); it is not made for visitors.",
        "uWSGI behind nginx",
    ),
    "redirect-port-internal": Cause(
        "nginx",
        "links without their last slash lead to a dead port",
        "nginx redirects {url} to {location}: scheme or port are those inside the container.",
        "absolute_redirect off;",
    ),
    # -- static
    "static-not-routed": Cause(
        "static",
        "pages without style; 404 from Django",
        "Django answers 404 for {url}: no location of nginx serves static files.",
        "add to the server block: location {prefix} {{ alias /path/to/STATIC_ROOT/; }}",
    ),
    "static-missing": Cause(
        "static",
        "pages without style; 404",
        "There is nothing at {url} ({status}), which the page {page} links.",
        "manage.py collectstatic, into the directory that nginx serves; compare alias and root",
    ),
    "static-permission-denied": Cause(
        "static",
        "pages without style; 403",
        "{url} is refused (403).",
        "let nginx's workers read STATIC_ROOT: r on the files, x on every directory above",
    ),
    "static-fails": Cause(
        "static",
        "pages without style",
        "{url}, which the page {page} links, gets {status}.",
        "serve static files by nginx itself; they need neither Django nor a login",
    ),
    "static-wrong-type": Cause(
        "static",
        "the browser refuses style sheets or scripts",
        "{url} comes as {type}.",
        "include mime.types in nginx.conf",
    ),
    "static-mixed-content": Cause(
        "static",
        "pages without style, only with https",
        "The page {page} links {url}, which a browser refuses: plain HTTP inside of HTTPS.",
        "STATIC_URL = '/static/', without scheme and host; or tell Django the scheme",
    ),
    "static-not-cached": Cause(
        "static",
        "slower than need be",
        "{url} has a hash in its name, and is not kept ({cache}).",
        'add_header Cache-Control "public, max-age=31536000, immutable"; for such names',
    ),
    # -- media
    "media-missing": Cause(
        "media",
        "pictures are missing; 404",
        "There is nothing at {url}, which the page {page} shows: {author} answers 404.",
        "a location for MEDIA_URL whose alias is MEDIA_ROOT, on the same volume as Django's",
    ),
    "media-permission-denied": Cause(
        "media",
        "pictures are missing; 403",
        "{url} is refused (403).",
        "FILE_UPLOAD_PERMISSIONS = 0o644 (0o640 with a common group); for those that are there: chmod",
    ),
    "media-fails": Cause(
        "media",
        "pictures are missing",
        "{url}, which the page {page} shows, gets {status} ({type}).",
        "look at nginx's log for that address",
    ),
    "media-sniffed": Cause(
        "media",
        "nothing",
        "{url} comes without nosniff: a browser may take an upload for a page, and run it.",
        "add_header X-Content-Type-Options nosniff always; in the location of uploads",
    ),
    # -- django
    "no-python-application": Cause(
        "django",
        '500, "Internal Server Error" in 21 bytes',
        "uWSGI itself answers 500 for {url}: it could not load the site, or the error is outside Django.",
        "its log has the traceback; need-app = true makes it fail at the start instead",
    ),
    "page-fails": Cause(
        "django",
        "500 on the page",
        "{url} is answered with {status}.",
        "the site's log has the traceback; if it has none, let LOGGING send django.request to stderr",
    ),
    "host-refused": Cause(
        "django",
        "400 on every page, static files work",
        "Django refuses the host that it gets for {host}.",
        "add it to ALLOWED_HOSTS; if it is there, nginx tells Django another one: HTTP_HOST $http_host",
    ),
    "https-redirect-loop": Cause(
        "django",
        "too many redirects",
        "Django redirects {url} to itself: it takes https for http (SECURE_SSL_REDIRECT).",
        "whoever does TLS must say so: uwsgi_param HTTPS $https if_not_empty; or X-Forwarded-Proto and"
        " SECURE_PROXY_SSL_HEADER",
    ),
    "redirect-loop": Cause(
        "django",
        "too many redirects",
        "{url} is redirected in a circle ({location}).",
        "follow it with curl -IL; compare who redirects to where",
    ),
    "redirect-port-lost": Cause(
        "django",
        "the browser lands on another port, where nothing is",
        "{url} is redirected to {location}: the port {port}, where visitors are, is lost.",
        "HTTP_HOST must have it: uwsgi_param HTTP_HOST $http_host;",
    ),
    "redirect-scheme-lost": Cause(
        "django",
        "https turns into http",
        "{url} is redirected to {location}: from https to http.",
        "tell Django the scheme: uwsgi_param HTTPS $https if_not_empty; or SECURE_PROXY_SSL_HEADER",
    ),
    "debug-on": Cause(
        "django",
        "error pages show source code",
        "DEBUG is on: {url} shows paths, addresses and settings to everybody.",
        "DEBUG = False",
    ),
    "secure-cookie-over-http": Cause(
        "django",
        "403, CSRF cookie not set, or the login form again and again",
        "{cookie} is Secure, so that a browser does not send it back over http (some make an exception"
        " for localhost).",
        "serve the site by https; without it: CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = False",
    ),
    "csrf-cookie-other-domain": Cause(
        "django",
        "403, CSRF cookie not set",
        "{cookie} is for {domain}, so that a browser does not keep it for {host}.",
        "remove CSRF_COOKIE_DOMAIN, or set it to a domain that {host} is in",
    ),
    "csrf-cookie-missing": Cause(
        "django",
        "403, CSRF cookie not set",
        "The form at {url} comes without a cookie.",
        "no cache may keep pages with forms, and no hide_header may remove Set-Cookie",
    ),
    "csrf-referrer-policy": Cause(
        "django",
        "403, Origin checking failed: null",
        "Referrer-Policy: no-referrer makes browsers hide where a form comes from; Django then refuses it.",
        "Referrer-Policy same-origin",
    ),
    "host-port-lost": Cause(
        "django",
        "403, CSRF verification failed, when a form is sent",
        "Django sees the host without its port: it takes forms from {accepted}, visitors are at {origin}.",
        "uwsgi_param HTTP_HOST $http_host; (proxy_set_header Host $http_host;), not $host",
    ),
    "csrf-origin-refused": Cause(
        "django",
        "403, CSRF verification failed, when a form is sent",
        "Django sees the wrong scheme: it takes forms from {accepted}, visitors are at {origin}.",
        "tell it the scheme: uwsgi_param HTTPS $https if_not_empty; behind a proxy that does TLS,"
        " X-Forwarded-Proto and SECURE_PROXY_SSL_HEADER",
    ),
    "proxy-host-lost": Cause(
        "django",
        "403, CSRF verification failed, when a form is sent",
        "Django sees another host than {host}: it refuses forms because of where they come from.",
        "proxy_set_header Host $http_host; in every proxy on the way",
    ),
    "csrf-refused": Cause(
        "django",
        "403 when a form is sent",
        "The login form at {url} is refused (403), though cookie, Origin and Referer were those of a browser.",
        "Django's log has the reason (logger django.security.csrf), unless a firewall for web"
        " applications is in front; a page from a cache has an old token",
    ),
    "form-fails": Cause(
        "django",
        "an error when a form is sent",
        "The login form at {url}, sent empty, gets {status}.",
        "the logs of nginx and of the site have the reason",
    ),
    "cookie-flags": Cause(
        "django",
        "nothing",
        "{cookie} is set without {missing}.",
        "CSRF_COOKIE_SECURE, SESSION_COOKIE_SECURE and their _HTTPONLY and _SAMESITE",
    ),
    "any-host": Cause(
        "django",
        "nothing",
        "The site answers for any host name, also for an invented one.",
        "name the hosts in ALLOWED_HOSTS, and refuse others in nginx (default_server)",
    ),
    "host-spoofable": Cause(
        "django",
        "nothing",
        "Django believes the X-Forwarded-Host of any visitor.",
        'USE_X_FORWARDED_HOST = False; or let nginx set it: uwsgi_param HTTP_X_FORWARDED_HOST "";',
    ),
    "scheme-spoofable": Cause(
        "django",
        "nothing",
        "Django (or uWSGI) believes the X-Forwarded-Proto of any visitor.",
        "let nginx set it: uwsgi_param HTTP_X_FORWARDED_PROTO $scheme; and HTTP_X_FORWARDED_SSL"
        ' ""; (proxy_set_header where it speaks HTTP)',
    ),
}


def broken(cause: str, *evidence: object, **words: object) -> Finding:
    """Return that a hop is broken by a cause of this table, as ``whichhop.causes.broken`` does."""
    return finding(OUTSIDE, Verdict.BROKEN, cause, evidence, words)


def advice(cause: str, *evidence: object, **words: object) -> Finding:
    """Return that a hop works, and what would be better."""
    return finding(OUTSIDE, Verdict.OK, cause, evidence, words)
