#!/usr/bin/env bash
# A value in uWSGI's cache is handed out after it has expired, and its counters are read as eight raw bytes.
#
# Version: uWSGI 2.0.31
# Good guess: cache_set("key", "value", 1) is gone after a second, as in any cache: reading checks the time.
# Seen: cache_get and cache_exists still answer after 1.5 seconds; only the sweeper, a thread that runs every three
# seconds by default, removes it. cache_inc("hits") makes cache_get("hits") b"\x01\x00\x00\x00\x00\x00\x00\x00". And a
# cache of items=10 holds nine: the first place is never used.
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

import uwsgi


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    seen = []
    # The sweeper runs every 10 s here, so one of two tries falls between two of its runs.
    for name in ("first", "second"):
        uwsgi.cache_set(name, b"value", 1)
        time.sleep(2.5)
        seen.append(uwsgi.cache_exists(name) and uwsgi.cache_get(name))
    uwsgi.cache_inc("hits")
    kept = sum(bool(uwsgi.cache_set(f"key{number}", b"x", 0, "small")) for number in range(10))
    return [repr((b"value" in seen, uwsgi.cache_get("hits"), kept)).encode()]
PY
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
venv/bin/uwsgi --die-on-term --master --http-socket site.sock --wsgi-file app.py --cache2 name=default,items=100 \
    --cache2 name=small,items=10 --cache-expire-freq 10 >log 2>&1 &
appear site.sock
answer=$(curl --silent --max-time 20 --unix-socket site.sock http://site/)
[ "$answer" = "(True, b'\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00', 9)" ] ||
    changed "(expired value seen, counter, values kept of 10) is $answer."
echo "as seen: $answer"
