#!/usr/bin/env bash
# die-on-term in uWSGI does not only make SIGTERM stop it: it makes SIGQUIT, which stopped it before, reload it.
#
# Version: uWSGI 2.0.31
# Good guess: the option changes what its name says; SIGQUIT, the graceful stop of nginx and a common STOPSIGNAL,
# still stops.
# Seen: without it SIGQUIT ends uWSGI. With it SIGQUIT starts the workers anew under the same master, so "docker stop"
# of an image with STOPSIGNAL SIGQUIT waits its ten seconds and kills.
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
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
# quit OPTION...: starts uWSGI, sends SIGQUIT and prints "ended" or, after its worker was started again, "reloaded".
quit() {
    rm -f site.sock
    venv/bin/uwsgi --master --http-socket site.sock --wsgi-file app.py "$@" >log 2>&1 &
    appear site.sock
    curl --silent --max-time 10 --unix-socket site.sock --output body http://site/
    kill -QUIT $!
    for _ in {1..100}; do
        sleep 0.1
        if ! kill -0 $! 2>/dev/null; then
            echo ended
            return
        fi
        if [ "$(grep --count 'spawned uWSGI worker' log)" = 2 ]; then
            echo reloaded
            return
        fi
    done
    echo "neither ended nor reloaded in ten seconds"
}
quit >answer
[ "$(cat answer)" = ended ] || changed "SIGQUIT without die-on-term: $(cat answer)."
quit --die-on-term >answer
[ "$(cat answer)" = reloaded ] || changed "SIGQUIT with die-on-term: $(cat answer)."
echo "as seen: with die-on-term SIGQUIT reloads."
