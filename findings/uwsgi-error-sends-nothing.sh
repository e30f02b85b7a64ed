#!/usr/bin/env bash
# An error before start_response: uWSGI logs 500 and sends not one byte; one after it is a 200 without a body.
#
# Versions: uWSGI 2.0.31, gunicorn 27.0.1
# Good guess: the status in uWSGI's log is the one the client got. gunicorn answers 500 to all three.
# Seen: an exception: the log says "HTTP/1.1 500", the client gets an empty reply (nginx makes 502 of it). A header
# that latin-1 cannot hold: 200, the headers before that one, no body. A generator that raises at its first chunk:
# 200, all headers, no body.
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

cat >app.py <<'PY'
def failing():
    raise ValueError("in the generator")
    yield b"page"


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/before":
        raise ValueError("before start_response")
    name = "\N{EURO SIGN}" if path == "/header" else "euro"
    start_response("200 OK", [("X-First", "1"), ("X-Name", name), ("Content-Type", "text/plain")])
    return failing() if path == "/generator" else [b"page"]
PY
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
export PYTHONPATH=$work
venv/bin/uwsgi --die-on-term --http-socket uwsgi.sock --wsgi-file app.py >log 2>&1 &
venv/bin/gunicorn --no-control-socket --bind unix:gunicorn.sock app:application >gunicorn.log 2>&1 &
# ask SERVER PATH ANSWER: fails unless status, bytes of the body, X-First and Content-Type are ANSWER.
ask() {
    appear "$1.sock"
    seen=$(curl --silent --max-time 10 --unix-socket "$1.sock" --output body \
        --write-out '%{http_code} %{size_download} %header{x-first} %header{content-type}' "http://site/$2" || true)
    [ "$seen" = "$3" ] || changed "$1 answers /$2 with '$seen', not '$3'."
}
ask uwsgi page '200 4 1 text/plain'
ask uwsgi before '000 0  '
grep --quiet 'GET /before => generated 0 bytes .*HTTP/1.1 500' log || changed "uWSGI's log has no 500 for /before."
ask uwsgi header '200 0 1 '
ask uwsgi generator '200 0 1 text/plain'
for path in before header generator; do
    ask gunicorn "$path" '500 141  text/html'
done
echo "as seen: nothing, 200 and 200 from uWSGI; 500 three times from gunicorn."
