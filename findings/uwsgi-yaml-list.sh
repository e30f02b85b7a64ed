#!/usr/bin/env bash
# uWSGI's own YAML reader drops a list and every option after it, and keeps quotes as part of the value.
#
# Version: uWSGI 2.0.31, built without libyaml's headers (as a container image that has only a compiler builds it)
# Good guess: YAML is YAML, or what cannot be read is refused, above all under strict.
# Seen: env as a list of two and then processes: 3, need-app: true and no-such-option: 1. uWSGI starts: with one
# process, neither variable, and no word on the unknown option, for it stopped reading at the list. And in PLAIN:
# "quoted" the quotes arrive in the variable (chmod-socket: "660" is refused as an invalid mode).
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

venv/bin/uwsgi --version >/dev/null
if ldd venv/bin/uwsgi | grep --quiet libyaml; then
    echo "cannot tell: this uWSGI is linked with libyaml, whose headers are installed here." >&2
    exit 1
fi
cat >app.py <<'PY'
import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(os.environ.get(name, "-") for name in ("PLAIN", "FIRST", "SECOND")).encode()]
PY
cat >site.yaml <<'YAML'
uwsgi:
  strict: true
  die-on-term: true
  master: true
  http-socket: site.sock
  wsgi-file: app.py
  env: PLAIN="quoted" # a comment is dropped, as it should be
  env:
    - FIRST=1
    - SECOND=2
  processes: 3
  no-such-option: 1
YAML
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
venv/bin/uwsgi --yaml site.yaml >log 2>&1 &
appear site.sock
answer=$(curl --silent --max-time 10 --unix-socket site.sock http://site/) ||
    changed "uWSGI does not start with this file: $(tail -n 1 log)"
[ "$answer" = '"quoted" - -' ] || changed "PLAIN, FIRST and SECOND arrive as: $answer."
workers=$(grep --count 'spawned uWSGI worker' log)
[ "$workers" = 1 ] || changed "there are $workers workers: what stands after the list is read."
echo "as seen: $answer, one worker, no word on no-such-option."
