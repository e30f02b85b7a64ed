#!/usr/bin/env bash
# Django's CSP nonce: a cached or streamed page holds a nonce that its header does not, and its scripts are blocked.
#
# Version: Django 6.1.3
# Good guess: the header always names the nonce of the page that it goes with.
# Seen: the header gets a nonce only if one was asked for before the middleware saw the answer. cache_page: the first
# visitor's header has the nonce; from the second on the page is the stored one with the old nonce, and the header has
# none. A StreamingHttpResponse whose template is rendered while it is sent: never one. No error, no warning.
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
from django.conf import settings
from django.utils.csp import CSP

settings.configure(
    SECRET_KEY="for this test",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["testserver"],
    MIDDLEWARE=["django.middleware.csp.ContentSecurityPolicyMiddleware"],
    SECURE_CSP={"script-src": [CSP.SELF, CSP.NONCE]},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
import django
from django.http import HttpResponse, StreamingHttpResponse
from django.middleware.csp import get_nonce
from django.template import engines
from django.test import Client
from django.urls import path
from django.views.decorators.cache import cache_page

django.setup()


def render(request):
    return engines["django"].from_string("{{ nonce }}").render({"nonce": get_nonce(request)})


def page(request):
    return HttpResponse(render(request))


def streamed(request):
    return StreamingHttpResponse(render(request) for _ in range(1))


urlpatterns = [path("page", page), path("cached", cache_page(60)(page)), path("streamed", streamed)]
for name in "page", "page", "cached", "cached", "streamed":
    answer = Client().get(f"/{name}")
    policy = answer["Content-Security-Policy"]
    print(name, answer.getvalue().decode() in policy, "'nonce-" in policy)
PY
seen=$("${python[@]}" try.py)
expected='page True True
page True True
cached True True
cached False False
streamed False False'
[ "$seen" = "$expected" ] || changed "page, its nonce in the header, any nonce in the header: ${seen//$'\n'/; }."
echo "as seen: ${seen//$'\n'/; }."
