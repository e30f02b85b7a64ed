#!/usr/bin/env bash
# Django's FileResponse of a file that was moved on by seek(): uWSGI sends the right length from the wrong place.
#
# Versions: uWSGI 2.0.31, Django 5.2.19
# Good guess: what read() would return is sent; Django takes the position into account for Content-Length.
# Seen: the file is "0123456789abcdefghij", seek(15). Content-Length: 5, and the body is "01234" instead of "fghij":
# uWSGI takes the descriptor out of wsgi.file_wrapper and sends from byte 0. A BytesIO with the same content and
# position, which has no descriptor, is sent right.
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
"$work/venv/bin/pip" install --quiet uwsgi==2.0.31 django==5.2.19
cd "$work"

printf '0123456789abcdefghij' >content
cat >app.py <<'PY'
import io

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse
from django.urls import path

settings.configure(SECRET_KEY="for this test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["site"])


def on_disk(request):
    file = open("content", "rb")
    file.seek(15)
    return FileResponse(file)


def in_memory(request):
    file = io.BytesIO(b"0123456789abcdefghij")
    file.seek(15)
    return FileResponse(file)


urlpatterns = [path("on-disk", on_disk), path("in-memory", in_memory)]
application = get_wsgi_application()
PY
venv/bin/uwsgi --die-on-term --http-socket site.sock --wsgi-file app.py >log 2>&1 &
for _ in {1..100}; do
    [ ! -S site.sock ] || break
    sleep 0.1
done
ask() { curl --silent --max-time 10 --unix-socket site.sock --write-out ' %header{content-length}' "http://site/$1"; }
answer=$(ask in-memory)
[ "$answer" = 'fghij 5' ] || changed "the file in memory arrives as '$answer'."
answer=$(ask on-disk)
[ "$answer" = '01234 5' ] || changed "the file on disk arrives as '$answer', not as the first five bytes."
echo "as seen: '$answer' after seek(15)."
