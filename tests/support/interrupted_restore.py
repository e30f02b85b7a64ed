"""
Kill a restore at every step. Runs inside a container of the app image, on volumes of its own.

A step is an audit event of Python before it touches a file (https://docs.python.org/3/library/audit_events.html).
The restoring process exits there at once, as with kill -9. It must leave either the old data, untouched, or
a swap that the next start completes, even if that start is killed at any step, too.

The argument is the first step of staging to try; after it, every eleventh is tried.
"""

import os
import shutil
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from stack.backup import archive, kept, restore
from stack.backup import write as backup
from stack.paths import DATA, MEDIA

TOUCHING = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"}
NEVER = 10**9
ID = b"0123456789abcdef"
ARCHIVE = Path("/tmp/archive")
ROOTS = (DATA, MEDIA)

deadly = None  # the step at which this process exits


def step(event: str, arguments: tuple[object, ...]) -> None:
    global deadly
    if deadly is not None and event in TOUCHING:
        deadly -= 1
        if deadly < 0:
            os._exit(9)


sys.addaudithook(step)


def make(content: str) -> None:
    """Make this the only content of the volumes."""
    for root in ROOTS:
        for entry in root.iterdir():
            if entry.name.startswith(".restore"):
                continue  # remains of an earlier restore must do no harm
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (DATA / "secret_key").write_text(f"the {content} key")
    kept.ID_FILE.write_bytes(ID)
    database = sqlite3.connect(DATA / "db.sqlite3")
    database.execute("CREATE TABLE content (what)")
    database.execute("INSERT INTO content VALUES (?)", [content])
    database.commit()
    database.close()
    for place in ("public/images", "private", "tmp"):
        (MEDIA / place).mkdir(parents=True)
    (MEDIA / "public/images/same.png").write_text(content)
    (MEDIA / f"private/{content}.txt").write_text(content)


def state() -> dict[str, bytes]:
    """Return what a site would see: all files except those of a restore and of unfinished uploads."""
    return {
        str(path): path.read_bytes()
        for root in ROOTS
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).parts[0].startswith((".restore", "tmp"))
    }


def killed(steps: int, what: Callable[[], object]) -> bool:
    """Run a function in a process that exits after some steps; return whether it was cut short."""
    global deadly
    child = os.fork()  # a separate process, also because the lock is held until the process ends
    if child == 0:
        deadly = steps
        try:
            what()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 9


def stage() -> None:
    with ARCHIVE.open("rb") as file:
        restore.stage(file, "token", True)


def write() -> None:
    with ARCHIVE.open("wb") as file:
        backup.write(file, 10**9)


os.sync = lambda: None  # no power cuts in this test
archive.known_migrations()  # load Django once, not in each process
make("new")
assert not killed(NEVER, write)
make("between")
assert not killed(NEVER, stage)
assert not killed(NEVER, lambda: restore.swap("token", True))
new = state()  # SQLite's copy of a database is not byte-identical
assert {path: content[-3:] for path, content in new.items()} == {
    "/srv/data/db.sqlite3": b"new",
    "/srv/data/secret_key": b"key",
    "/srv/data/site_id": ID[-3:],
    "/srv/media/private/new.txt": b"new",
    "/srv/media/public/images/same.png": b"new",
}

# Staging must not touch the data.
make("old")
old = state()
steps = int(sys.argv[1])
while killed(steps, stage):
    assert state() == old, f"staging, killed at {steps}"
    assert not restore.finish()
    steps += 11  # not every step: listing the migrations opens very many files

swaps = {"old": 0, "new": 0}
for steps in range(10_000):
    make("old")
    assert not killed(NEVER, stage)
    if not killed(steps, lambda: restore.swap("token", True)):
        break
    marked = restore.MARK.exists()
    assert marked or state() in (old, new), f"swap, killed at {steps}: a mix without a mark"
    for again in (3, 9):
        killed(again, restore.finish)
    restore.finish()
    assert state() in (old, new), f"swap, killed at {steps}: a mix in the end"
    assert not marked or state() == new, f"swap, killed at {steps}: marked, and not carried out"
    swaps["old" if state() == old else "new"] += 1
assert state() == new
left = [path.name for root in ROOTS for path in root.iterdir() if path.name.startswith(".")]
print(f"old {swaps['old'] > 0} new {swaps['new'] > 10} left {left}")
