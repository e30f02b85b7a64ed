"""A backup holds what the site's settings name, or is refused; a restore never takes the place of what it does not know."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import ROOT, started
from tests.support.people import command, create_user, is_logged_in
from tests.support.stack import Output, Stack, run_once
from tests.support.variables import DEFAULTS
from tests.test_backup import backup, reason
from tests.test_upgrade import SESSION

# A backup that the release of this commit made of the volumes that test_upgrade has: its format is 1.
OLD = ROOT / "tests" / "volumes" / "backup-20281f2.tar.gz"

# Begins every program here: a site with other databases than the sample's, and short names for what is done to it.
PREPARE = """
import contextlib, fcntl, io, json, os, pathlib, secrets, shutil, sqlite3, subprocess, sys, tarfile
DATA, MEDIA = pathlib.Path("/srv/data"), pathlib.Path("/srv/media")
SETTINGS = "from mysite.settings import *; DATABASES = "
SQLITE = {"ENGINE": "django.db.backends.sqlite3"}
os.environ |= {"PYTHONPATH": "/app:/tmp:/opt", "DJANGO_SETTINGS_MODULE": "other"}

def site(**databases):
    pathlib.Path("/tmp/other.py").write_text(SETTINGS + repr(databases))

def run(*command, archive=b""):
    process = subprocess.run(command, input=archive, capture_output=True)
    return process.returncode, process.stdout, process.stderr.decode().strip()

def write():
    return run("stack", "backup", "write", str(10**9))

def restore(archive, *force):
    result = run("stack", "restore", "stage", "token", *force, archive=archive)
    if result[0] == 0:
        swapped = run("stack", "restore", "swap", "token", *force)
        assert swapped[0] == 0, swapped
    return result[0], result[1].decode().strip() or result[2]

def table(path, *rows, name="content"):
    path.parent.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"CREATE TABLE IF NOT EXISTS {name} (what)")
        database.executemany(f"INSERT INTO {name} VALUES (?)", [[row] for row in rows])

def rows(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return [what for what, in database.execute("SELECT what FROM content")]

def empty():
    for volume in (DATA, MEDIA):
        for entry in volume.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (DATA / "secret_key").write_text(secrets.token_urlsafe(50))

empty()
"""


@pytest.fixture
def program(images: str) -> Callable[[str], Any]:
    """Return a function that runs a program in a container of the app, and returns the JSON it prints."""

    def run(text: str) -> Any:
        output: Output = run_once(f"{images}-app", ["python3", "-c", PREPARE + text], DEFAULTS)
        assert output.code == 0, output.err
        return json.loads(output.out)

    return run


# -- what is backed up


def test_a_database_that_no_backup_holds_is_refused(program: Callable[[str], Any]) -> None:
    """Also where a SQLite file of earlier days lies on the volume: it is not what the site works with."""
    said = program("""
table(DATA / "db.sqlite3", "stale")
MINE = SQLITE | {"NAME": "/srv/data/db.sqlite3"}
said = []
for databases in (
    {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "site"}},
    {"default": MINE, "reports": {"ENGINE": "django.db.backends.mysql", "NAME": "reports"}},
    {"default": {"ENGINE": "nowhere.backend", "NAME": "site"}},
    {"default": SQLITE | {"NAME": "/app/db.sqlite3"}},
    {"default": SQLITE | {"NAME": "file:/srv/media/db.sqlite3?mode=rwc"}},
    {"default": SQLITE | {"NAME": "other.sqlite3"}},
):
    site(**databases)
    said.append([*write()[::2], *restore(b"", "--force")])
    assert write()[1] == b""
print(json.dumps(said))
""")
    no_tool = "and only SQLite files on the data volume are backed up and restored here: use that database's own tools."
    not_there = "which is not on the data volume: move it to /srv/data."
    expected = [
        f'the database "default" is one of django.db.backends.postgresql, {no_tool}',
        f'the database "reports" is one of django.db.backends.mysql, {no_tool}',
        f'the database "default" is one of nowhere.backend, {no_tool}',
        f'the database "default" is /app/db.sqlite3, {not_there}',
        f'the database "default" is /srv/media/db.sqlite3, {not_there}',
        f'the database "default" is /app/other.sqlite3, {not_there}',
    ]
    assert said == [[1, sentence, 1, sentence] for sentence in expected]


def test_databases_of_any_name_come_back(program: Callable[[str], Any]) -> None:
    """Wherever they were and wherever they are now; and so does all else that is on the volumes."""
    found = program("""
def choose(main, events):
    site(
        default=SQLITE | {"NAME": main},
        events=SQLITE | {"NAME": events},
        passing=SQLITE | {"NAME": ":memory:"},
        later=SQLITE | {"NAME": "/srv/data/later.sqlite3"},
    )

choose("file:/srv/data/a%20site?mode=rwc", "/srv/data/more/events.db")
keep = sqlite3.connect(DATA / "a site")
table(DATA / "a site", "row")          # in its -wal, since somebody has it open
table(DATA / "more/events.db", "event")
table(DATA / "db.sqlite3", "stale")
(DATA / "broken.sqlite3").write_bytes(b"SQLite format 3\\0 and no more")
(DATA / "notes-journal").write_text("notes")
(DATA / ".hidden").write_text("hidden")
for name in ("public/a.png", "private/b.pdf", "invoices/2026/c.pdf", "d.txt", "tmp/unfinished"):
    (MEDIA / name).parent.mkdir(parents=True, exist_ok=True)
    (MEDIA / name).write_text(name)
latin = os.fsencode(MEDIA / "public") + b"/caf\\xe9.txt"
open(latin, "w").close()

status, archive, error = write()
assert status == 0, error
checked = run("stack", "backup", "check", archive=archive)
with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
    about = json.load(tar.extractfile("backup.json"))
    names = sorted(name for name in tar.getnames() if name.isascii())
keep.close()

empty()
choose("/srv/data/renamed.sqlite3", "/srv/data/more/events.db")
said = restore(archive)
print(json.dumps({
    "about": {name: about[name] for name in ("format", "url", "databases", "uploads")},
    "names": names,
    "said": said,
    "rows": [rows(DATA / name) for name in ("renamed.sqlite3", "more/events.db", "db.sqlite3")],
    "moved": not (DATA / "a site").exists(),
    "files": sorted(path.name for path in MEDIA.rglob("*") if path.is_file() and path.name.isascii()),
    "latin": os.path.exists(latin),
    "checked": checked[::2],
}))
""")
    assert found["about"] == {
        "format": 2,
        "url": "http://localhost:8000",
        "databases": {"default": "data/a site", "events": "data/more/events.db"},
        "uploads": 5,
    }
    data = (
        "a site,broken.sqlite3,db.sqlite3,more/events.db,notes-journal,.hidden,secret_key,site_id"
    )
    media = "public/a.png,private/b.pdf,invoices/2026/c.pdf,d.txt"
    assert found["names"] == sorted(
        ["backup.json", "SHA256SUMS"]
        + [f"data/{name}" for name in data.split(",")]
        + [f"media/{name}" for name in media.split(",")]
    )
    assert re.fullmatch(r"13 files, as they were at 20\S+Z", found["said"][1]), found["said"]
    assert found["rows"] == [["row"], ["event"], ["stale"]]
    assert (found["moved"], found["latin"], found["checked"]) == (True, True, [0, ""])
    assert found["files"] == ["a.png", "b.pdf", "c.pdf", "d.txt"]


def test_a_backup_that_does_not_fit_the_settings_is_refused(program: Callable[[str], Any]) -> None:
    said = program("""
site(default=SQLITE | {"NAME": "/srv/data/one"}, events=SQLITE | {"NAME": "/srv/data/two"})
table(DATA / "one", "row")
table(DATA / "two", "event")
archive = write()[1]
site(default=SQLITE | {"NAME": "/srv/data/one"})
said = [restore(archive, "--force")[1]]
site(default=SQLITE | {"NAME": "/srv/data/secret_key"}, events=SQLITE | {"NAME": "/srv/data/two"})
said.append(restore(archive, "--force")[1])
site(default=SQLITE | {"NAME": "/srv/data/three"}, events=SQLITE | {"NAME": "/srv/data/four"})
said.append(write()[2])
there = sorted(path.name for path in DATA.iterdir())
print(json.dumps([*said, there, rows(DATA / "one")]))
""")
    assert said == [
        'it holds a database "events", and DATABASES in the settings of this site names none.',
        'it has another file where this site has its database "default": secret_key.',
        "there is nothing to back up: the site has no database yet.",
        ["one", "secret_key", "site_id", "two"],
        ["row"],
    ]


# -- what a restore takes the place of


def test_whatever_a_site_holds_is_not_replaced_unasked(program: Callable[[str], Any]) -> None:
    said = program("""
def start():
    status, _, error = run("stack", "init")
    assert status == 0, error

site(default=SQLITE | {"NAME": "/srv/data/db.sqlite3"})
start()
table(DATA / "db.sqlite3", "the backup's")
archive = write()[1]
own = (DATA / "site_id").read_text()
said = {}

empty()
site(default=SQLITE | {"NAME": "/srv/data/site.sqlite3"})
start()
shutil.copytree(DATA, "/tmp/fresh")

def onto(what, make):
    empty()
    shutil.copytree("/tmp/fresh", DATA, dirs_exist_ok=True)
    (MEDIA / "public").mkdir()
    make()
    said[what] = restore(archive)[1]

def user():
    assert run("python3", "/app/manage.py", "shell", "-c", "from django.contrib.auth.models import User; User.objects.create_user('a')")[0] == 0

onto("a user", user)
onto("a table of its own", lambda: table(DATA / "site.sqlite3", "mine"))
onto("an upload", lambda: (MEDIA / "public" / "a.png").write_text("mine"))
onto("an upload elsewhere", lambda: (MEDIA / "b.png").write_text("mine"))
onto("another database", lambda: table(DATA / "stale.sqlite3", "mine"))
onto("another file", lambda: (DATA / "notes").write_text("mine"))
onto("its own", lambda: [table(DATA / "site.sqlite3", "mine"), (DATA / "site_id").write_text(own)])
onto("fresh", lambda: None)
adopted = (DATA / "site_id").read_text() == own
start()
print(json.dumps([said, adopted, rows(DATA / "site.sqlite3"), len(list(DATA.glob("db.sqlite3")))]))
""")
    expected = {
        "a user": "data/site.sqlite3",
        "a table of its own": "data/site.sqlite3",
        "an upload": "media/public/a.png",
        "an upload elsewhere": "media/b.png",
        "another database": "data/stale.sqlite3",
        "another file": "data/notes",
    }
    refusals, adopted, rows, left = said
    for what, holds in expected.items():
        assert refusals.pop(what) == (
            "it is a backup of another site (http://localhost:8000), and there is a site with data already"
            f" ({holds}), which would be lost; --force replaces them."
        ), what
    assert refusals.pop("its own") == (
        "there is a site with data already (data/site.sqlite3), which would be lost; --force replaces them."
    )
    # What only the first start made is nothing that could be lost.
    assert re.fullmatch(r"\d+ files, as they were at 20\S+Z", refusals.pop("fresh"))
    assert (refusals, adopted, rows, left) == ({}, True, ["the backup's"], 0)


def test_what_is_saved_while_a_backup_is_examined_is_not_replaced_unasked(
    program: Callable[[str], Any],
) -> None:
    said = program("""
site(default=SQLITE | {"NAME": "/srv/data/db.sqlite3"})
table(DATA / "db.sqlite3", "old")
archive = write()[1]
empty()
staged = run("stack", "restore", "stage", "token", archive=archive)
table(DATA / "db.sqlite3", "new")
print(json.dumps([staged[0], *run("stack", "restore", "swap", "token")[::2], rows(DATA / "db.sqlite3")]))
""")
    sentence = "something was saved meanwhile (data/db.sqlite3); --force replaces it."
    assert said == [0, 1, sentence, ["new"]]


def test_a_start_leaves_alone_what_a_restore_is_unpacking(program: Callable[[str], Any]) -> None:
    left = program("""
site(default=SQLITE | {"NAME": "/srv/data/db.sqlite3"})
from stack.backup import archive
left = []
for volume in (DATA, MEDIA):
    (volume / ".restore").mkdir()
lock = archive.lock()
for _ in range(2):
    status, _, error = run("stack", "init")
    assert status == 0, error
    left.append([(volume / ".restore").exists() for volume in (DATA, MEDIA)])
    fcntl.flock(lock, fcntl.LOCK_UN)
print(json.dumps(left))
""")
    assert left == [[True, True], [False, False]]


def test_backups_of_an_earlier_release_and_of_another_site(
    make_stack: Callable[..., Stack], pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    with started(make_stack(), pytestconfig) as stack:
        identity = stack.run("app", "cat", "/srv/data/site_id")
        assert re.fullmatch(r"[0-9a-f]{32}", identity)

        # Onto a site that was just started, without a word; what it was before 20281f2 has no id.
        process = command(stack, "scripts/restore", str(OLD))
        assert process.returncode == 0, process.stderr
        veteran = requests.Session()
        veteran.cookies["sessionid"] = SESSION
        assert is_logged_in(stack, veteran)
        assert veteran.get(f"{stack.url}/files/attachments/report.txt", timeout=5).ok
        assert stack.run("app", "cat", "/srv/data/site_id") != identity

        file = backup(stack, tmp_path)
        stack.run("app", "bash", "-c", "printf 0 >/srv/data/site_id")
        create_user(stack, "newcomer")
        site = f"http://localhost:{stack.variables['SITE_PORT']}"
        said = reason(command(stack, "scripts/restore", str(file)))
        assert said == (
            f"scripts/restore: nothing was changed: it is a backup of another site ({site}), and there is a"
            " site with data already (data/db.sqlite3), which would be lost; --force replaces them."
        )
        said = reason(command(stack, "scripts/restore", str(OLD)))
        assert (
            "nothing was changed: it does not say of which site it is a backup, and there" in said
        )
        assert "newcomer" in stack.manage("shell", "-c", USERS)

        process = command(stack, "scripts/restore", "--force", str(file))
        assert process.returncode == 0, process.stderr
        assert re.search(rf"Restored: .*Z, of another site \({site}\)\.$", process.stderr)
        assert "newcomer" not in stack.manage("shell", "-c", USERS)


USERS = "from django.contrib.auth.models import User; print(*User.objects.values_list('username', flat=True))"
