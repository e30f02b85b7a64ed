#!/usr/bin/env bash
# Django's answer to a form in latin-1 is a 400 for a stranger and no answer at all for a visitor with a CSRF cookie.
#
# Version: Django 5.2.19 (the same in 6.1.3)
# Good guess: WSGIHandler turns each exception into an answer: BadRequest into 400, anything else into 500.
# Seen: a POST with "application/x-www-form-urlencoded; charset=iso-8859-1" raises BadRequest where the view reads the
# form. The handlers for 400 and 500 are wrapped in requires_csrf_token, which reads the form again, if there is a
# CSRF cookie, and raises it again, in the end out of the WSGI application: gunicorn makes 500 of it, uWSGI sends
# nothing.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet django==5.2.19
cd "$work"

cat >try.py <<'PY'
import io

from django.conf import settings
from django.core.exceptions import BadRequest
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(SECRET_KEY="for this test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["site"], LOGGING_CONFIG=None)
urlpatterns = [path("", csrf_exempt(lambda request: HttpResponse(request.POST["name"])))]
application = get_wsgi_application()


def ask(charset, cookie):
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "CONTENT_TYPE": f"application/x-www-form-urlencoded; charset={charset}",
        "CONTENT_LENGTH": "8",
        "HTTP_HOST": "site",
        "HTTP_COOKIE": cookie,
        "wsgi.input": io.BytesIO(b"name=Ada"),
        "wsgi.url_scheme": "http",
    }
    statuses = []
    try:
        application(environ, lambda status, headers: statuses.append(status[:3]))
    except BadRequest:
        statuses.append("raised")
    return statuses[0]


token = "csrftoken=" + "a" * 32
print(ask("utf-8", token), ask("iso-8859-1", ""), ask("iso-8859-1", token))
PY
seen=$(venv/bin/python try.py 2>errors)
[ "$seen" = '200 400 raised' ] || changed "utf-8, latin-1, latin-1 with a cookie: $seen."
echo "as seen: $seen"
