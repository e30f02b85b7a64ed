#!/usr/bin/env bash
# FileResponse(gzip.open(...)): granian sends the text, uWSGI the packed bytes, gunicorn nothing, under the same
# length.
#
# Versions: Django 5.2.19, uWSGI 2.0.31, gunicorn 27.0.1, granian 2.8.9
# Good guess: what read() returns, the unpacked text, as Django's Content-Length says (it asks the file by seek()).
# Seen: a GzipFile has fileno(), the descriptor of the packed file, so a server with sendfile takes that. All three:
# 200, Content-Length: 4000. Body: granian 4,000 bytes of text; uWSGI the 49 bytes of the .gz; gunicorn 0 bytes (the
# descriptor stands at its end, for Django has read it through). A client waits for the rest or reports an error.
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
"$work/venv/bin/pip" install --quiet uwsgi==2.0.31 django==5.2.19 gunicorn==27.0.1 granian==2.8.9
cd "$work"

cat >app.py <<'PY'
import gzip

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse
from django.urls import path

settings.configure(SECRET_KEY="for this test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["site"])
urlpatterns = [path("", lambda request: FileResponse(gzip.open("page.gz")))]
application = get_wsgi_application()
PY
venv/bin/python -c 'import gzip; gzip.open("page.gz", "w").write(b"text" * 1000)'
packed=$(wc --bytes <page.gz)

export PYTHONPATH=$work
venv/bin/uwsgi --die-on-term --http-socket uwsgi.sock --wsgi-file app.py >uwsgi.log 2>&1 &
venv/bin/gunicorn --no-control-socket --bind unix:gunicorn.sock app:application >gunicorn.log 2>&1 &
venv/bin/granian --interface wsgi --uds granian.sock app:application >granian.log 2>&1 &

# ask SERVER BYTES: fails unless the answer is a 200 that announces 4000 bytes and brings BYTES.
ask() {
    for _ in {1..200}; do
        [ ! -S "$1.sock" ] || break
        sleep 0.1
    done
    seen=$(curl --silent --retry 20 --retry-delay 1 --retry-connrefused --max-time 5 --unix-socket "$1.sock" --output "$1.body" \
        --write-out '%{http_code} %header{content-length} %{size_download}' http://site/ || true)
    [ "$seen" = "200 4000 $2" ] || changed "$1 answers (status, length, bytes) $seen, not 200 4000 $2."
}
ask granian 4000
ask uwsgi "$packed"
cmp --silent page.gz uwsgi.body || changed "what uWSGI sends is not the packed file."
ask gunicorn 0
echo "as seen: 4000 bytes, $packed bytes and none."
