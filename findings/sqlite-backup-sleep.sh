#!/usr/bin/env bash
# sqlite3's Connection.backup(pages=..., sleep=...) does not sleep between its steps, and with pauses it may never
# end.
#
# Version: SQLite 3 of the Python in use (3.40 with Python 3.11 seen)
# Good guess: pages=1000, sleep=1 copies in steps with a second between them, in which writers have their turn; the
# documentation calls it the seconds between successive attempts to back up remaining pages.
# Seen: six steps take far less than a second: sleep counts only after a step that found the source locked. With a
# pause of 0.1 s made in the progress callback, beside another process that writes 50 times a second, the copy begins
# again after nearly every step and is not done after four seconds. pages=-1, one step, is done at once beside the
# same writer.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
cd "$work"

cat >try.py <<'PY'
import sqlite3
import subprocess
import sys
import time

WRITER = """
import sqlite3, time
connection = sqlite3.connect("db", timeout=30)
connection.execute("PRAGMA synchronous=OFF")
end = time.monotonic() + 30
while time.monotonic() < end:
    with connection:
        connection.execute("UPDATE page SET number = number + 1 WHERE rowid = 1")
    time.sleep(0.02)
"""


class TookTooLong(Exception):
    pass


def backup(pages, pause=0):
    remaining, start = [], time.monotonic()

    def progress(status, left, total):
        remaining.append(left)
        time.sleep(pause)
        if time.monotonic() - start > 4:
            raise TookTooLong

    try:
        source.backup(sqlite3.connect(":memory:"), pages=pages, progress=progress, sleep=1)
        return f"{len(remaining)} steps, done"
    except TookTooLong:
        again = sum(before <= after for before, after in zip(remaining, remaining[1:]))
        return f"began again {'more than ten' if again > 10 else again} times"


source = sqlite3.connect("db")
source.execute("PRAGMA journal_mode=WAL")
with source:
    source.execute("CREATE TABLE page (number, text)")
    source.executemany("INSERT INTO page VALUES (?, ?)", [(1, "x" * 3000)] * 5000)
print(backup(1000))
writer = subprocess.Popen([sys.executable, "-c", WRITER])
while source.execute("SELECT number FROM page WHERE rowid = 1").fetchone()[0] < 5:
    time.sleep(0.1)
print(backup(-1))
print(backup(1000, pause=0.1))
writer.kill()
writer.wait()
PY
seen=$(python3 try.py)
expected='6 steps, done
1 steps, done
began again more than ten times'
[ "$seen" = "$expected" ] || changed "alone with sleep=1, beside a writer at once, beside a writer with pauses: ${seen//$'\n'/; }."
echo "as seen: ${seen//$'\n'/; }."
