#!/usr/bin/env bash
# granian takes status and headers before the first chunk is made, though WSGI lets a generator set them with it.
#
# Versions: granian 2.8.9, gunicorn 27.0.1, uWSGI 2.0.31
# Good guess: PEP 3333 lets start_response be called as late as just before the first chunk is yielded, so an
# application that is itself a generator function works everywhere.
# Seen: it answers 201 with Content-Type and Location under gunicorn and uWSGI; granian makes 200 of it, without both
# headers, but with the body. Nothing is logged.
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
"$work/venv/bin/pip" install --quiet uwsgi==2.0.31 gunicorn==27.0.1 granian==2.8.9
cd "$work"

cat >app.py <<'PY'
def application(environ, start_response):
    start_response("201 Created", [("Content-Type", "text/plain"), ("Location", "/new")])
    yield b"made"
PY
export PYTHONPATH=$work
venv/bin/uwsgi --die-on-term --http-socket uwsgi.sock --wsgi-file app.py >uwsgi.log 2>&1 &
venv/bin/gunicorn --no-control-socket --bind unix:gunicorn.sock app:application >gunicorn.log 2>&1 &
venv/bin/granian --interface wsgi --uds granian.sock app:application >granian.log 2>&1 &
# ask SERVER ANSWER: fails unless status, body, type and location are ANSWER.
ask() {
    for _ in {1..200}; do
        [ ! -S "$1.sock" ] || break
        sleep 0.1
    done
    seen=$(curl --silent --retry 20 --retry-delay 1 --retry-connrefused --max-time 10 --unix-socket "$1.sock" \
        --write-out ' %{http_code} type=%header{content-type} location=%header{location}' http://site/)
    [ "$seen" = "$2" ] || changed "$1 answers '$seen', not '$2'."
}
ask uwsgi 'made 201 type=text/plain location=/new'
ask gunicorn 'made 201 type=text/plain location=/new'
ask granian 'made 200 type= location='
echo "as seen: granian answers 200 without headers."
