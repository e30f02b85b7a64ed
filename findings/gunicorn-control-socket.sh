#!/usr/bin/env bash
# Two gunicorns of one user share a control socket: commands reach the one started last, and after it nobody.
#
# Version: gunicorn 27.0.1
# Good guess: without a word about it in the configuration gunicorn listens on --bind only; or each instance has a
# control socket of its own, or the second says that the path is taken.
# Seen: ~/.gunicorn/gunicorn.ctl is made by default. "gunicornc -c 'show listeners'" names one.sock; after a second
# instance has started, for another site, it names two.sock: so would "reload" or "worker add". When the second ends
# it removes the path, and the first, still serving, can no longer be reached by gunicornc. --no-control-socket avoids
# all this.
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
"$work/venv/bin/pip" install --quiet gunicorn==27.0.1
cd "$work"

mkdir home
export HOME=$work/home PYTHONPATH=$work
unset XDG_RUNTIME_DIR
cat >app.py <<'PY'
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"page"]
PY
# await TEXT: fails unless what gunicornc says contains TEXT within twenty seconds.
await() {
    for _ in {1..100}; do
        said=$(timeout 10 venv/bin/gunicornc -c 'show listeners' 2>&1 || true)
        [[ $said != *"$1"* ]] || return 0
        sleep 0.2
    done
    changed "gunicornc never says '$1': $said"
}
venv/bin/gunicorn --bind unix:one.sock app:application >one.log 2>&1 &
await 'unix:one.sock'
[ -S home/.gunicorn/gunicorn.ctl ] || changed "the control socket is not ~/.gunicorn/gunicorn.ctl."
venv/bin/gunicorn --bind unix:two.sock app:application >two.log 2>&1 &
second=$!
await 'unix:two.sock'
[[ $said != *one.sock* ]] || changed "gunicornc reaches both."
kill "$second"
wait "$second" || true
await 'Failed to connect'
answer=$(curl --silent --max-time 10 --unix-socket one.sock http://site/)
[ "$answer" = page ] || changed "the first instance no longer serves."
echo "as seen: the second takes the first one's control socket, and takes it away."
