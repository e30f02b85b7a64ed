#!/usr/bin/env bash
# granian reads --uds-permissions 660 as a decimal number: the socket gets the mode 01224.
#
# Version: granian 2.8.9
# Good guess: 660 is a file mode, as in chmod 660, gunicorn's umask or uWSGI's chmod-socket = 660.
# Seen: only 0660, with a zero, is octal. 660 is s-w--w-r-T; 770 is 01402, so that nginx in the socket's group is
# refused. No warning; umask decides when the option is not given.
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
"$work/venv/bin/pip" install --quiet granian==2.8.9
cd "$work"

cat >app.py <<'PY'
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"page"]
PY
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
export PYTHONPATH=$work
# ask ANSWER VALUE
ask() {
    venv/bin/granian --interface wsgi --uds "$2.sock" --uds-permissions "$2" app:application >log 2>&1 &
    appear "$2.sock"
    for _ in {1..100}; do
        seen=$(stat --format %a "$2.sock")
        [ "$seen" != "$1" ] || return 0
        sleep 0.1
    done
    changed "--uds-permissions $2 makes the mode $seen, not $1."
}
ask 660 0660
ask 1224 660
ask 1402 770
echo "as seen: 660 is 1224, 770 is 1402."
