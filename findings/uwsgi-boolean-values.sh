#!/usr/bin/env bash
# In a uWSGI ini every value but false, off, no and 0 is "yes": none, never, disabled and "false ; note" switch on.
#
# Version: uWSGI 2.0.31
# Good guess: disabled or none means off, or strict refuses what is neither true nor false; ";" begins a comment.
# Seen: master = none starts a master, and so do never, disabled, n, f, 00 and "false ; until Monday" (there are no
# comments behind a value). false, OFF, No and 0 start none.
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
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"page"]
PY
# ask ANSWER VALUE...: fails unless each of the values starts a master (ANSWER yes) or none of them does (no).
ask() {
    for value in "${@:2}"; do
        printf '[uwsgi]\nstrict = true\nmaster = %s\nhttp-socket = site.sock\nwsgi-file = app.py\nneed-app = true\n' "$value" >site.ini
        : >log # the one before must not be taken for this one
        venv/bin/uwsgi site.ini >>log 2>&1 &
        for _ in {1..200}; do
            ! grep --quiet 'spawned uWSGI worker' log || break
            sleep 0.1
        done
        kill -KILL -- "-$!"
        wait $! 2>/dev/null || true
        seen=no
        ! grep --quiet 'spawned uWSGI master process' log || seen=yes
        [ "$seen" = "$1" ] || changed "master = $value: is there a master? $seen."
    done
}
ask yes true none never disabled n f 00 'false ; until Monday'
ask no false OFF No 0
echo "as seen: master = none starts a master."
