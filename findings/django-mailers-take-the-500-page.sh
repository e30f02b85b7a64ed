#!/usr/bin/env bash
# Django 6.1: with MAILERS and a mail server that is down, a visitor gets no error page: the mail's error leaves
# Django.
#
# Version: Django 6.1.3
# Good guess: mail to ADMINS about an error is sent "fail_silently"; moving EMAIL_HOST to MAILERS, as the deprecation
# asks, changes nothing in that.
# Seen: a view that raises ValueError, ADMINS set, nothing listening. With EMAIL_HOST: 500 and the page. With the same
# server in MAILERS: ConnectionRefusedError out of the WSGI application, for which uWSGI sends nothing (nginx: 502).
# An option spelt wrong in MAILERS passes "check" and does the same (InvalidMailer), on the first error only.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
cd "$work"
python3 -m venv venv
python=(venv/bin/python)
if ! venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
    # Django 6 needs a newer Python: Debian 13's, with its own C library.
    packages=(python3.13-minimal libpython3.13-minimal libpython3.13-stdlib libc6 libexpat1 zlib1g libssl3t64 libffi8
        libsqlite3-0 libuuid1 libbz2-1.0 liblzma5 libreadline8t64 libzstd1)
    apt-get download --quiet=2 "${packages[@]/%//trixie}" 2>/dev/null
    for package in *.deb; do dpkg -x "$package" debian; done
    lib=debian/usr/lib/x86_64-linux-gnu
    python=("$lib/ld-linux-x86-64.so.2" --library-path "$lib" debian/usr/bin/python3.13)
fi
PYTHONPATH=$(echo venv/lib/python3*/site-packages) "${python[@]}" -m pip install --quiet --no-compile --target site django==6.1.3
export PYTHONPATH=site

cat >try.py <<'PY'
import io
import sys

from django.conf import settings

smtp = {"BACKEND": "django.core.mail.backends.smtp.EmailBackend"}
down = {"host": "127.0.0.1", "port": 1}
mail = {
    "old": {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": 1},
    "new": {"MAILERS": {"default": {**smtp, "OPTIONS": down}}},
    "misspelt": {"MAILERS": {"default": {**smtp, "OPTIONS": {**down, "use_tsl": True}}}},
}
settings.configure(
    SECRET_KEY="for this test",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["site"],
    ADMINS=["admin@example.org"],
    **mail[sys.argv[1]],
)
from django.core.checks import run_checks
from django.core.wsgi import get_wsgi_application
from django.urls import path


def page(request):
    raise ValueError("in the view")


urlpatterns = [path("", page)]
application = get_wsgi_application()
environ = {"REQUEST_METHOD": "GET", "HTTP_HOST": "site", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"}
try:
    application(environ, lambda status, headers: print(status, end=""))
except Exception as error:
    print(type(error).__name__, end="")
print(",", "no warnings" if not run_checks() else "warnings")
PY
# ask ANSWER SETTINGS
ask() {
    seen=$("${python[@]}" -W ignore try.py "$2" 2>errors)
    [ "$seen" = "$1" ] || changed "with the $2 settings: $seen, not $1."
}
ask '500 Internal Server Error, no warnings' old
ask 'ConnectionRefusedError, no warnings' new
ask 'InvalidMailer, no warnings' misspelt
echo "as seen: with MAILERS the page is lost."
