#!/usr/bin/env bash
# A page with a form is never "304 Not Modified" under ConditionalGetMiddleware, though nothing in it changed.
#
# Version: Django 5.2.19
# Good guess: the same visitor, the same session, the same page: the same ETag.
# Seen: a page without a form gives 304 to its own ETag, and 200 with a new ETag each time as soon as it contains {%
# csrf_token %}: the token is masked anew in each answer, so that compression cannot betray it. The whole page is
# made, hashed and sent each time.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet django==5.2.19
cd "$work"

cat >try.py <<'PY'
from django.conf import settings

settings.configure(
    SECRET_KEY="for this test",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["testserver"],
    MIDDLEWARE=["django.middleware.http.ConditionalGetMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
import django
from django.http import HttpResponse
from django.template import engines
from django.test import Client
from django.urls import path

django.setup()


def page(template):
    return lambda request: HttpResponse(engines["django"].from_string(template).render({}, request))


urlpatterns = [path("text", page("<p>text</p>")), path("form", page("<form>{% csrf_token %}</form>"))]
client = Client()
for name in "text", "form":
    first = client.get(f"/{name}")
    second = client.get(f"/{name}", headers={"If-None-Match": first["ETag"]})
    third = client.get(f"/{name}", headers={"If-None-Match": second["ETag"]})
    print(name, second.status_code, third.status_code, first["ETag"] == third["ETag"])
PY
seen=$(venv/bin/python try.py)
expected='text 304 304 True
form 200 200 False'
[ "$seen" = "$expected" ] || changed "page, two statuses, same ETag: ${seen//$'\n'/; }."
echo "as seen: ${seen//$'\n'/; }."
