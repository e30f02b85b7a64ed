#!/usr/bin/env bash
# "avg_rt" in uWSGI's stats is no average: each request halves what was there before.
#
# Version: uWSGI 2.0.31
# Good guess: average response time, in microseconds, over the requests counted beside it.
# Seen: a fast request, one of a second and three fast ones: avg_rt is about 62,500 (a second halved four times), the
# mean is 200,000. So the last three requests make up seven eighths of it. running_time / requests is the mean.
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
import time


def application(environ, start_response):
    time.sleep(environ["PATH_INFO"] == "/slow")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"page"]
PY
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
venv/bin/uwsgi --die-on-term --master --http-socket site.sock --wsgi-file app.py --stats stats.sock --stats-http >log 2>&1 &
appear site.sock
for path in fast slow fast fast fast; do
    curl --silent --max-time 10 --unix-socket site.sock --output /dev/null "http://site/$path"
done
curl --silent --max-time 10 --unix-socket stats.sock http://site/ >stats.json
seen=$(venv/bin/python -c '
import json
worker = json.load(open("stats.json"))["workers"][0]
print(worker["avg_rt"], worker["running_time"] // worker["requests"])')
read -r average mean <<<"$seen"
((mean > 190000)) || changed "the mean of one slow request and four fast ones is $mean microseconds."
((average > 55000 && average < 90000)) || changed "avg_rt is $average microseconds, where the mean is $mean."
echo "as seen: avg_rt $average, mean $mean."
