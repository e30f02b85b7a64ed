#!/usr/bin/env bash
# Looking at a file's first bytes before it is sent: gunicorn drops the first block of it, uWSGI does not.
#
# Versions: gunicorn 27.0.1, uWSGI 2.0.31
# Good guess: after read(4) and seek(0) the file is as new; wsgi.file_wrapper sends all of it.
# Seen: 20,000 bytes; read(4), seek(0). gunicorn (sync worker) leaves out the first 4,096, which is the buffer of
# open() here: Python's buffered reader moved back within its buffer only, and gunicorn's sendfile starts where the
# descriptor stands. uWSGI starts at 0 and sends 20,000. Django's FileResponse is not hit, for it seeks to the end and
# back.
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
"$work/venv/bin/pip" install --quiet uwsgi==2.0.31 gunicorn==27.0.1
cd "$work"

head --bytes=20000 /dev/zero >content
cat >app.py <<'PY'
def application(environ, start_response):
    file = open("content", "rb", buffering=4096)
    file.read(4)
    file.seek(0)
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](file)
PY
venv/bin/uwsgi --die-on-term --http-socket uwsgi.sock --wsgi-file app.py >uwsgi.log 2>&1 &
venv/bin/gunicorn --no-control-socket --bind unix:gunicorn.sock app:application >gunicorn.log 2>&1 &
ask() {
    for _ in {1..100}; do
        [ ! -S "$1.sock" ] || break
        sleep 0.1
    done
    curl --silent --max-time 10 --unix-socket "$1.sock" --output /dev/null --write-out '%{http_code} %{size_download}' http://site/
}
answer=$(ask uwsgi)
[ "$answer" = '200 20000' ] || changed "uWSGI answers (status, bytes) $answer."
answer=$(ask gunicorn)
[ "$answer" = '200 15904' ] || changed "gunicorn answers (status, bytes) $answer, not 200 15904 (20,000 less 4,096)."
echo "as seen: 15,904 of 20,000 bytes."
