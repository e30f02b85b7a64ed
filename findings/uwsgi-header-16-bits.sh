#!/usr/bin/env bash
# uWSGI keeps the length of an answer's header in 16 bits: of 65,541 bytes five are sent, with status 200.
#
# Versions: uWSGI 2.0.31, gunicorn 27.0.1
# Good guess: a header that is too long is sent, as in gunicorn, for the proxy to refuse, or it is an error.
# Seen: X-Large of 65,541 bytes arrives as "xxxxx", one of 65,536 bytes is empty, 60,000 bytes arrive whole. No line
# in the log, and the header after it and the body are in their places.
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
def application(environ, start_response):
    start_response("200 OK", [("X-Large", "x" * int(environ["PATH_INFO"][1:])), ("X-After", "1")])
    return [b"page"]
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
# ask SERVER BYTES ANSWER
ask() {
    appear "$1.sock"
    curl --silent --max-time 10 --unix-socket "$1.sock" --dump-header headers --output body "http://site/$2"
    seen=$(sed -n 's/^x-large: \(x*\)\r$/\1/Ip' headers | tr -d '\n' | wc --bytes)
    [ "$seen $(cat body)" = "$3 page" ] || changed "of $2 bytes $seen arrive from $1, not $3."
    grep --quiet --ignore-case '^x-after: 1' headers || changed "the next header is lost."
}
ask gunicorn 65541 65541
ask uwsgi 60000 60000
ask uwsgi 65536 0
ask uwsgi 65541 5
echo "as seen: five of 65,541 bytes."
