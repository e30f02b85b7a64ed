#!/usr/bin/env bash
# More headers than uWSGI's max-vars: "skip this var" in the log, but the whole request is dropped, not one header.
#
# Version: uWSGI 2.0.31
# Good guess: 140 small headers (1.5 KB, far below buffer-size) are fine, or one of them is lost, or the answer is
# 431.
# Seen: there is room for 128 variables by default, nginx's own ones included. One hundred and forty headers: "max vec
# size reached. skip this var.", no byte for the client (nginx makes 502 of it), and the application is not called.
# max-vars = 600 serves them.
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
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(sum(name.startswith("HTTP_X_") for name in environ)).encode()]
PY
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
venv/bin/uwsgi --die-on-term --http-socket small.sock --wsgi-file app.py >log 2>&1 &
venv/bin/uwsgi --die-on-term --http-socket large.sock --wsgi-file app.py --max-vars 600 >large.log 2>&1 &
# ask SOCKET NUMBER: prints how many of NUMBER headers arrived, or "nothing".
ask() {
    appear "$1"
    headers=()
    for ((number = 0; number < $2; number++)); do
        headers+=(--header "X-$number: 1")
    done
    curl --silent --max-time 10 --unix-socket "$1" "${headers[@]}" http://site/ || echo nothing
}
[ "$(ask small.sock 100)" = 100 ] || changed "100 headers no longer fit into the default."
[ "$(ask large.sock 140)" = 140 ] || changed "140 headers do not fit into max-vars = 600."
answer=$(ask small.sock 140)
[ "$answer" = nothing ] || changed "140 headers are answered: $answer arrived."
grep --quiet 'skip this var' log || changed "the log does not say 'skip this var'."
echo "as seen: 140 headers, no answer."
