#!/usr/bin/env bash
# py-autoreload in uWSGI restarts for a syntax error that was saved, and never again for the correction.
#
# Version: uWSGI 2.0.31
# Good guess: as with Django's runserver, saving the corrected file brings the site back.
# Seen: after the bad save the worker says "no python application found" and answers 500; the file is no module that
# was loaded now, so its thread no longer watches it. Ten saves of the corrected file change nothing, with
# py-autoreload = 1. Only a restart by hand helps.
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

write() { printf 'def application(environ, start_response):\n    start_response("200 OK", [])\n    return [b"%s"%s\n' "$1" "$2" >app.py; }
write first ']'
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
venv/bin/uwsgi --die-on-term --master --lazy-apps --http-socket site.sock --python-path . --module app --py-autoreload 1 >log 2>&1 &
appear site.sock
# await TEXT SECONDS: saves the file each second; 0 once the answer contains TEXT.
await() {
    for ((second = 0; second < $2; second++)); do
        touch app.py
        sleep 1.5
        answer=$(curl --silent --max-time 10 --unix-socket site.sock http://site/ || true)
        [[ $answer != *$1* ]] || return 0
    done
    return 1
}
await first 10 || changed "the first version is not served."
write second ']'
await second 20 || changed "a correct change is not noticed."
write third ''
await 'Internal Server Error' 20 || changed "a syntax error is not noticed; the answer is $answer."
write fourth ']'
! await fourth 10 || changed "the correction is noticed."
echo "as seen: the correction is not noticed."
