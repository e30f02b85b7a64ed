#!/usr/bin/env bash
# Django's TIME_ZONE changes the clock of uWSGI's own log, in the middle of it.
#
# Versions: uWSGI 2.0.31, Django 5.2.19
# Good guess: a setting of the application concerns the application; the server's log goes by the container's TZ, UTC.
# Seen: Django sets TZ for the whole process when it is loaded. With TIME_ZONE = "Pacific/Kiritimati" (UTC+14) uWSGI's
# first lines are in UTC and all after loading, its workers' and requests' included, are fourteen hours later, with no
# zone in the line.
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

cat >site_settings.py <<'PY'
SECRET_KEY = "for this test"
ROOT_URLCONF = "app"
ALLOWED_HOSTS = ["site"]
TIME_ZONE = "Pacific/Kiritimati"
PY
cat >app.py <<'PY'
import os

from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
urlpatterns = [path("", lambda request: HttpResponse("page"))]
application = get_wsgi_application()
PY
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
TZ=UTC venv/bin/uwsgi --die-on-term --http-socket site.sock --wsgi-file app.py --python-path . --log-date=%H >log 2>&1 &
appear site.sock
hour() { sed -n "s/^\([0-9]*\) *- .*$1.*/\1/p" log | head -n 1; }
curl --silent --max-time 10 --unix-socket site.sock --output body http://site/
before=$(hour 'Starting uWSGI')
after=$(hour 'spawned uWSGI worker')
((((10#$after - 10#$before + 24) % 24) >= 13)) || changed "the log's hour is $before at the start and $after after loading."
echo "as seen: $before o'clock at the start, $after o'clock after loading."
