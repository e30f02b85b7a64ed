#!/usr/bin/env bash
# In uWSGI's ini files a percent sign takes the next character with it: an encoded password changes without a word.
#
# Version: uWSGI 2.0.31
# Good guess: only documented placeholders (%n, %d, ...) are replaced, as an unknown %(name) stays as it is.
# Seen: env = URL=postgres://site:p%40ss@db/site arrives as postgres://site:p0ss@db/site ("%4" is unknown, so it is
# empty), and a%2Fb as aFb; "100% of" loses its blank. %% is the way to write it. strict does not object.
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


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\n".join(os.environ[name] for name in ("URL", "RIGHT", "NAMES", "SHARE")).encode()]
PY
cat >site.ini <<'INI'
[uwsgi]
strict = true
die-on-term = true
wsgi-file = app.py
http-socket = site.sock
env = URL=postgres://site:p%40ss@db/a%2Fb
env = RIGHT=postgres://site:p%%40ss@db/a%%2Fb
env = NAMES=%(nobody)
env = SHARE=100% of it
INI
venv/bin/uwsgi site.ini >log 2>&1 &
for _ in {1..100}; do
    [ ! -S site.sock ] || break
    sleep 0.1
done
answer=$(curl --silent --max-time 10 --unix-socket site.sock http://site/)
expected='postgres://site:p0ss@db/aFb
postgres://site:p%40ss@db/a%2Fb
%(nobody)
100of it'
[ "$answer" = "$expected" ] || changed "the four values arrive as: ${answer//$'\n'/ | }."
echo "as seen: p%40ss became p0ss."
