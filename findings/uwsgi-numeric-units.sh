#!/usr/bin/env bash
# uWSGI reads the leading digits of a numeric option and drops the rest, also under "strict".
#
# Version: uWSGI 2.0.31
# Good guess: 1m is a minute and 64k is 64 KiB, or both are refused, for strict is there to find typos.
# Seen: harakiri = 1m ends a request of four seconds after one; buffer-size = 64k is 64 bytes, in which no request
# fits: each is answered by a closed connection. The start says nothing.
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
"$work/venv/bin/pip" install --quiet uwsgi==2.0.31
cd "$work"

cat >app.py <<'PY'
import time


def application(environ, start_response):
    time.sleep(4 if environ["PATH_INFO"] == "/slow" else 0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
PY
cat >site.ini <<'INI'
[uwsgi]
strict = true
die-on-term = true
master = true
wsgi-file = app.py
http-socket = site.sock
harakiri = 1m
INI
start() {
    rm -f site.sock
    venv/bin/uwsgi "$1" >log 2>&1 &
    server=$!
    for _ in {1..100}; do
        [ ! -S site.sock ] || break
        sleep 0.1
    done
}
ask() { curl --silent --max-time 10 --unix-socket site.sock "http://site$1"; }

start site.ini
[ "$(ask /)" = served ] || changed "harakiri = 1m is refused."
! ask /slow || changed "harakiri = 1m lets a request of four seconds end."
grep --quiet HARAKIRI log || changed "the slow request was not ended by harakiri."
kill "$server"
wait "$server" 2>/dev/null || true

sed 's/^harakiri.*/buffer-size = 64k/' site.ini >small.ini
start small.ini
[ -S site.sock ] || changed "buffer-size = 64k is refused."
! ask / || changed "a request fits into buffer-size = 64k."
echo "as seen: harakiri = 1m is one second, buffer-size = 64k is 64 bytes."
