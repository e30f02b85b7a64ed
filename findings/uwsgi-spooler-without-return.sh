#!/usr/bin/env bash
# A uWSGI spooler function that returns nothing, or True, does its task again and again, for ever.
#
# Version: uWSGI 2.0.31
# Good guess: a function that ends without an exception has done its task; True is as good as "done".
# Seen: with spooler-frequency = 1 both tasks are run again each second; only uwsgi.SPOOL_OK (-2) ends one. No
# warning; the log says "managing request" each time.
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
import os

import uwsgi

DONE = os.path.abspath("done.txt")  # the spooler itself runs in its own folder
RETURNS = {b"nothing": None, b"true": True, b"ok": uwsgi.SPOOL_OK}


def do_task(task):
    with open(DONE, "ab") as done:
        done.write(task[b"name"] + b"\n")
    return RETURNS[task[b"name"]]


uwsgi.spooler = do_task


def application(environ, start_response):
    for name in RETURNS:
        uwsgi.spool({b"name": name})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"spooled"]
PY
mkdir spool
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
venv/bin/uwsgi --die-on-term --master --http-socket site.sock --wsgi-file app.py \
    --spooler spool --spooler-frequency 1 >log 2>&1 &
appear site.sock
curl --silent --max-time 10 --unix-socket site.sock --output /dev/null http://site/
runs() { grep --count --line-regexp "$1" done.txt || true; }
for _ in {1..100}; do
    sleep 0.1
    [ -e done.txt ] || continue
    if [ "$(runs nothing)" -ge 3 ] && [ "$(runs true)" -ge 3 ] && [ "$(runs ok)" -ge 1 ]; then break; fi
done
[ -e done.txt ] || changed "no task was run in ten seconds."
[ "$(runs ok)" = 1 ] || changed "the task that returns SPOOL_OK ran $(runs ok) times."
[ "$(runs nothing)" -ge 3 ] || changed "the task that returns nothing ran $(runs nothing) times in ten seconds."
[ "$(runs true)" -ge 3 ] || changed "the task that returns True ran $(runs true) times in ten seconds."
echo "as seen: run again and again without SPOOL_OK."
