#!/usr/bin/env bash
# SQLite with transaction_mode IMMEDIATE: two transactions that only read exclude each other, in WAL mode too.
#
# Versions: Django 5.2.19, SQLite 3 of the Python in use
# Good guess: WAL lets readers go on beside each other and beside a writer; IMMEDIATE, the usual advice, is about
# writers.
# Seen: while one atomic block that has only read is open, another one fails after its timeout with "database is
# locked", for BEGIN IMMEDIATE takes the write lock at once. With ATOMIC_REQUESTS that is every view, GET included.
# With DEFERRED both read. Outside atomic() IMMEDIATE changes nothing for reads.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet django==5.2.19
cd "$work"

cat >try.py <<'PY'
import sys
import threading

from django.conf import settings

options = {"transaction_mode": sys.argv[1], "timeout": 0.5, "init_command": "PRAGMA journal_mode=WAL"}
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db", "OPTIONS": options}})
import django
from django.db import OperationalError, connection, transaction

django.setup()
first_has_read, second_is_done = threading.Event(), threading.Event()
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE IF NOT EXISTS page (number)")


def read():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM page")
        return cursor.fetchone()[0]


def first():
    with transaction.atomic():
        read()
        first_has_read.set()
        second_is_done.wait(20)


thread = threading.Thread(target=first)
thread.start()
first_has_read.wait(20)
try:
    print("plain read", read())
    with transaction.atomic():
        print("atomic read", read())
except OperationalError as error:
    print(error)
second_is_done.set()
thread.join()
PY
seen=$(venv/bin/python try.py DEFERRED)
[ "$seen" = $'plain read 0\natomic read 0' ] || changed "DEFERRED: ${seen//$'\n'/, }."
seen=$(venv/bin/python try.py IMMEDIATE)
[ "$seen" = $'plain read 0\ndatabase is locked' ] || changed "IMMEDIATE: ${seen//$'\n'/, }."
echo "as seen: ${seen//$'\n'/, }."
