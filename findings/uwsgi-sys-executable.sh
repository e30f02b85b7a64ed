#!/usr/bin/env bash
# Inside uWSGI sys.executable is uWSGI: subprocess and multiprocessing's "spawn" start a second server's binary.
#
# Versions: uWSGI 2.0.31, gunicorn 27.0.1
# Good guess: sys.executable is the Python of the virtual environment, as under gunicorn.
# Seen: .../bin/uwsgi. subprocess.run([sys.executable, "-c", "print(1)"]) starts uWSGI with those arguments, which
# ends with status 1 and prints no 1.
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
import os
import subprocess
import sys


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    child = subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, text=True, timeout=10)
    return [f"{os.path.basename(sys.executable)} {child.returncode} '{child.stdout.strip()}'".encode()]
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
ask() {
    appear "$1"
    curl --silent --max-time 20 --unix-socket "$1" http://site/
}
answer=$(ask gunicorn.sock)
[[ $answer == "python"*" 0 '1'" ]] || changed "gunicorn answers $answer."
answer=$(ask uwsgi.sock)
[[ $answer == "uwsgi "[1-9]*" ''" ]] || changed "uWSGI answers $answer, not its own name and a child that failed."
echo "as seen: $answer"
