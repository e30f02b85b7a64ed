"""A backup made while the site is in use brings back all of it, and nothing else ever comes in."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT, started
from tests.support.people import command, create_user, is_logged_in, log_in, png, upload
from tests.support.stack import Stack, run_once
from tests.support.variables import DEFAULTS
from tests.support.whole import Whole
from tests.support.writers import Tally, check, writing

# Owner, mode and name of every file that is kept.
LISTING = "find /srv/data /srv/media -type f -not -name '*-wal' -not -name '*-shm' -printf '%M %U:%G %P\\n' | sort"


@pytest.fixture(scope="module")
def site(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    with started(make_stack(), pytestconfig) as stack:
        yield stack


def backup(stack: Stack, to: Path, *options: str) -> Path:
    """Make a backup, as a person would; return the file."""
    process = command(stack, "scripts/backup", "--to", str(to), *options)
    assert process.returncode == 0, process.stderr
    assert re.search(
        r"^Backed up and read back: \d+ files, \d+ KB; \d kept in ", process.stderr, re.M
    )
    return Path(process.stdout.strip())


def reason(process: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of a script that failed."""
    assert process.returncode == 1, process
    assert process.stdout == ""
    return process.stderr.splitlines()[-1]


def test_what_was_there_comes_back_and_what_came_later_is_gone(site: Stack, tmp_path: Path) -> None:
    create_user(site, "keeper")
    keeper = log_in(site, "keeper")
    picture, paper = png(5_000), b"%PDF-1.4 \xff private"
    kept = upload(
        site,
        keeper,
        "kept",
        ("café.png", picture, "image/png"),
        ("report.pdf", paper, "application/pdf"),
    )
    tally = Tally()
    with writing(site, "before", dict(keeper.cookies), tally):
        site.wait("uploads", lambda: len(tally.uploads) > 10, 60)
    with writing(site, "meanwhile", dict(keeper.cookies), Tally()):
        file = backup(site, tmp_path)
    secret = site.run("app", "cat", "/srv/data/secret_key")
    listing = site.run("app", "bash", "-c", LISTING)

    later = upload(site, keeper, "later", ("later.png", png(), "image/png"))
    site.run(
        "app",
        "bash",
        "-c",
        "rm /srv/media/public/images/caf*; echo >/srv/media/private/attachments/report.pdf",
    )
    assert command(site, "scripts/rotate-secret-key").returncode == 0

    refused = reason(command(site, "scripts/restore", str(file)))
    assert "there is a site with data already" in refused
    assert requests.get(site.url + later["image"], timeout=5).ok

    process = command(site, "scripts/restore", "--force", str(file))
    assert process.returncode == 0, process.stderr
    assert re.search(r"Restored: \d+ files, as they were at 20\S+Z\.$", process.stderr)
    assert requests.get(site.url + later["image"], timeout=5).status_code == 404
    assert keeper.get(f"{site.url}/admin/welcome/upload/?title=later", timeout=5).text.count(
        "0 uploads"
    )
    assert requests.get(site.url + kept["image"], timeout=5).content == picture
    assert is_logged_in(site, keeper)
    assert keeper.get(site.url + kept["attachment"], timeout=5).content == paper
    assert site.run("app", "cat", "/srv/data/secret_key") == secret
    upload(site, keeper, "new", ("a.png", png(), "image/png"), ("a.txt", b"a", "text/plain"))
    # What was acknowledged before is there, and what was being written has its files.
    check(site, tally)
    assert (tally.lost, tally.torn, tally.damaged) == (set(), set(), 0)
    after = site.run("app", "bash", "-c", LISTING).splitlines()
    common = {line.split(" ", 2)[2] for line in after} & {
        line.split(" ", 2)[2] for line in listing.splitlines()
    }
    assert {*after} >= {line for line in listing.splitlines() if line.split(" ", 2)[2] in common}


def test_a_site_that_is_stopped(site: Stack, tmp_path: Path) -> None:
    """It is backed up, and restored, all the same, and it stays stopped. Only the last few are kept."""
    site.compose("stop", "app")
    try:
        other = tmp_path / f"{site.project}-photos.tar.gz"  # not one of ours
        other.touch()
        first, second = (backup(site, tmp_path, "--keep", "1") for _ in range(2))
        assert {*tmp_path.iterdir()} == {second, other} != {first, other}
        assert oct(second.stat().st_mode) == "0o100600"
        # Anybody can look into it without us.
        subprocess.run(["tar", "--extract", "--file", second], cwd=tmp_path, check=True)
        subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=tmp_path, check=True)

        process = command(site, "scripts/restore", "--force", str(second))
        assert process.returncode == 0, process.stderr
        assert "The site did not run; scripts/up starts it." in process.stderr
        assert site.container("app").status == "exited"
    finally:
        site.up("--no-build")


def test_a_backup_that_is_killed_leaves_nothing_that_looks_like_one(
    site: Stack, tmp_path: Path
) -> None:
    environment = {**os.environ, **site.variables, "COMPOSE_PROJECT_NAME": site.project}
    script = subprocess.Popen(
        ["scripts/backup", "--to", tmp_path], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    site.wait("a partial file", lambda: list(tmp_path.glob(".*.partial")), 30)
    script.send_signal(signal.SIGKILL)
    script.wait()
    # What it started may still be at work: until then, somebody else is told so.
    process = command(site, "scripts/backup", "--to", str(tmp_path))
    if process.returncode:
        assert "another backup" in reason(process)
    site.wait(
        "it is free again",
        lambda: not command(site, "scripts/backup", "--to", str(tmp_path)).returncode,
        60,
    )
    assert all(
        re.fullmatch(rf"{site.project}-\d{{8}}T\d{{6}}Z\.tar\.gz", path.name)
        for path in tmp_path.iterdir()
    )
    assert site.exec("app", "bash", "-c", "ls -d /srv/*/.backup").code


def test_nothing_is_begun_that_cannot_be_finished(site: Stack, tmp_path: Path) -> None:
    def refused(*options: str, stack: Stack = site) -> str:
        return reason(command(stack, "scripts/backup", *options))

    never = Stack(ROOT, f"{site.project}-never")
    assert "no image of this site here: run scripts/up first" in refused(stack=never)
    site.engine.images.get(f"{site.project}-app").tag(f"{never.project}-app")
    try:
        assert "this site was never started here" in refused(stack=never)
    finally:
        site.engine.images.remove(f"{never.project}-app", noprune=True)
    away = Stack(ROOT, site.project, {**site.variables, "DOCKER_HOST": "unix:///nonexistent"})
    assert "no Docker engine answers" in refused(stack=away)
    assert "--keep needs a number" in refused("--keep", "0")
    assert "cannot be made" in refused("--to", "/proc/backups")

    hold = "import fcntl, os, time; fcntl.flock(os.open('/srv/media', 0), fcntl.LOCK_EX); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen(
        ["docker", "exec", str(site.container("app").id), "timeout", "60", "python3", "-c", hold],
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"1\n"
        assert "another backup or restore is under way" in refused("--to", str(tmp_path))
        site.run(
            "app",
            "bash",
            "-c",
            "kill $(grep -l 'fcntl[.]flock' /proc/[0-9]*/cmdline | cut -d/ -f3)",
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a file system that is full")
def test_a_disk_without_room_is_left_as_it_was(site: Stack, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    try:
        said = reason(command(site, "scripts/backup", "--to", str(tmp_path)))
        assert re.search(r"there is no room: it may take \d+ KB, and 64 KB are free\.$", said)
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def spoilt(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield archives that are damaged or hostile, each with what is said of it."""
    yield "cut off", good[: len(good) // 2]
    yield "cut off", good[:-200]
    yield "damaged or cut off", b"no archive at all"
    yield "damaged or cut off", b""
    plain = gzip.decompress(good)
    for where in (700, len(plain) // 2):  # in the first file; in the database
        yield (
            "damaged",
            gzip.compress(plain[:where] + bytes([plain[where] ^ 1]) + plain[where + 1 :], 1),
        )

    def changed(change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            members = [(member, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]
        change(members)
        result = io.BytesIO()
        with tarfile.open(fileobj=result, mode="w:gz", compresslevel=1) as archive:
            for member, content in members:
                member.size = len(content) if member.isfile() else 0
                archive.addfile(member, io.BytesIO(content))
        return result.getvalue()

    def hostile(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        return changed(lambda members: members.insert(1, (member, b"")))

    for name in (
        "/etc/evil",
        "../evil",
        "media/public/../../data/evil",
        "media/tmp/evil",
        "data/.restore-mark",
    ):
        yield "has no place in a backup", hostile(name)
    yield "has no place in a backup", hostile("data/evil", tarfile.SYMTYPE, "/etc")
    yield "has no place in a backup", hostile("data/evil", tarfile.LNKTYPE, "data/secret_key")
    for kind in (tarfile.CHRTYPE, tarfile.DIRTYPE):
        yield "has no place in a backup", hostile("data/evil", kind)
    yield "is in it twice", changed(lambda members: members.insert(2, members[2]))
    yield "checksums do not fit", hostile("data/evil")
    yield "list of checksums is missing", changed(lambda members: members.pop())

    def about(**values: object) -> bytes:
        def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
            facts = json.loads(members[0][1])
            facts["migrations"] |= values.pop("migrations", {})
            members[0] = (members[0][0], json.dumps(facts | values).encode())
            digests = [(sha256(content).hexdigest(), file.name) for file, content in members[:-1]]
            sums = "".join(f"{digest}  {name}\n" for digest, name in digests)
            members[-1] = (members[-1][0], sums.encode())

        return changed(change)

    yield "its format is 3, and this release knows 1 and 2 only", about(format=3)
    yield "backup.json cannot be read", about(databases=["data/db.sqlite3"])
    yield "data/other.sqlite3 is missing", about(databases={"default": "data/other.sqlite3"})
    yield 'holds a database "other", and', about(databases={"other": "data/db.sqlite3"})
    newer = {"welcome": "0009_from_the_future"}
    yield "does not know the migration welcome.0009_from_the_future", about(migrations=newer)


def test_an_archive_that_is_not_a_whole_backup_changes_nothing(site: Stack, tmp_path: Path) -> None:
    good = backup(site, tmp_path).read_bytes()
    before = site.run("app", "bash", "-c", LISTING)
    cases = list(spoilt(good))
    assert len(cases) == 23
    stage = ["docker", "exec", "--interactive", str(site.container("app").id)]
    stage += ["stack", "restore", "stage", "token", "--force"]
    for expected, archive in cases:
        process = subprocess.run(stage, input=archive, capture_output=True)
        assert (process.returncode, process.stdout) == (1, b""), expected
        assert expected in process.stderr.decode()
        assert process.stderr.count(b"\n") == 1, process.stderr
    assert site.run("app", "bash", "-c", LISTING) == before
    assert site.run("app", "find", "/srv", "/tmp", "-name", "evil") == ""

    # The same through the script, with the site in use all the while.
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(cases[0][1])
    began = site.container("app").attrs["State"]["StartedAt"]
    said = reason(command(site, "scripts/restore", "--force", str(bad)))
    assert said.startswith("scripts/restore: nothing was changed: it is damaged or cut off")
    assert "there is no file" in reason(command(site, "scripts/restore", str(tmp_path / "none")))
    assert site.container("app").attrs["State"]["StartedAt"] == began


# A process that keeps the database open and writes to it all the time, as a worker beside the site does. Its last
# act, if a file asks for it, is to spoil a restore.
WORKER = """
import os, signal, sqlite3, sys, time
def end(*_):
    if os.path.exists("/srv/data/spoil"):
        os.unlink("/srv/data/.restore-ready")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
database = sqlite3.connect("/srv/data/db.sqlite3", timeout=20, isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS beat (at)")
while True:
    database.execute("INSERT INTO beat VALUES (?)", [time.time()])
    time.sleep(0.05)
"""
BEATS = "import sqlite3; print(*sqlite3.connect('/srv/data/db.sqlite3').execute('SELECT max(at) FROM beat').fetchone())"


@pytest.fixture
def with_worker(site: Stack, tmp_path: Path) -> Iterator[Stack]:
    """The site with one more service that writes to its database, and one that reads the uploads."""
    overlay = tmp_path / "worker.yaml"
    volumes = {"worker": ["data:/srv/data"], "reader": ["media:/srv/media:ro"]}
    commands = {"worker": ["python3", "-c", WORKER], "reader": ["sleep", "infinity"]}
    services = {
        name: {
            "image": f"{site.project}-app",
            "pull_policy": "never",
            "init": True,
            "command": commands[name],
            "volumes": volumes[name],
        }
        for name in commands
    }
    overlay.write_text(json.dumps({"services": services}))
    stack = Stack(ROOT, site.project, {**site.variables, "COMPOSE_FILE": f"compose.yaml:{overlay}"})
    try:
        stack.compose("up", "--detach", "--no-deps", "worker", "reader")
        yield stack
    finally:
        stack.compose("rm", "--force", "--stop", "worker", "reader")


def starts(stack: Stack, *services: str) -> list[str]:
    """Return when the containers of services were last started."""
    return [stack.container(name).attrs["State"]["StartedAt"] for name in services]


def test_whatever_uses_the_data_is_stopped_for_a_restore(
    with_worker: Stack, site: Stack, tmp_path: Path
) -> None:
    """Also what only Compose knows that was started, such as with another COMPOSE_FILE."""
    site.wait("the worker works", lambda: site.run("app", "python3", "-c", BEATS), 20)
    file = backup(site, tmp_path)
    before = starts(with_worker, "nginx", "reader", "worker", "app")
    process = command(site, "scripts/restore", "--force", str(file))
    assert process.returncode == 0, process.stderr
    after = starts(with_worker, "nginx", "reader", "worker", "app")
    assert (after[:2], after[2] > before[2], after[3] > before[3]) == (before[:2], True, True)
    now = time.time()
    site.wait(
        "the worker writes to the database that the site has",
        lambda: float(site.run("app", "python3", "-c", BEATS)) > now,
        20,
    )


def test_a_restore_that_is_interrupted_or_fails_starts_again_what_it_stopped(
    with_worker: Stack, tmp_path: Path
) -> None:
    file = backup(with_worker, tmp_path)
    with_worker.run("app", "touch", "/srv/data/since")
    environment = {
        **os.environ,
        **with_worker.variables,
        "COMPOSE_PROJECT_NAME": with_worker.project,
    }

    def interrupted(after: str) -> tuple[int, str]:
        """Press Ctrl-C once the script has said something; return its status and what it said."""
        script = subprocess.Popen(
            ["scripts/restore", "--force", file],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert script.stderr
        said = b""
        while after.encode() not in said and (more := os.read(script.stderr.fileno(), 1000)):
            said += more
        os.killpg(script.pid, signal.SIGINT)
        said += script.stderr.read()
        return script.wait(), said.decode()

    def all_run() -> bool:
        names = ("app", "worker", "nginx", "reader")
        return all(with_worker.container(name).status == "running" for name in names)

    status, said = interrupted("Stopping what uses the data")
    assert (status, said.splitlines()[-1]) == (
        1,
        "scripts/restore: nothing was changed, since it was interrupted.",
    )
    assert all_run()
    assert requests.get(with_worker.url, timeout=5).ok
    with_worker.run("app", "ls", "/srv/data/since")

    # What was staged is gone when the site has stopped.
    with_worker.run("app", "touch", "/srv/data/spoil")
    before = starts(with_worker, "worker", "app")
    said = reason(command(with_worker, "scripts/restore", "--force", str(file)))
    assert said.endswith(
        "the data could not be exchanged: another restore, or a start of the site, came in between."
    )
    assert all_run()
    assert all(
        after > old for after, old in zip(starts(with_worker, "worker", "app"), before, strict=True)
    )
    with_worker.run("app", "rm", "/srv/data/spoil")

    # Once the exchange has begun, it is carried to its end.
    status, said = interrupted("Exchanging the data")
    assert (status, said.splitlines()[-1][:9]) == (0, "Restored:")
    assert all_run()
    left = ("find", "/srv/data", "/srv/media", "-name", "since", "-o", "-name", ".restore*")
    assert with_worker.run("app", *left) == ""


def test_a_restore_or_a_backup_that_is_killed_leaves_nothing_after_the_next_start(
    site: Stack, tmp_path: Path
) -> None:
    file = backup(site, tmp_path)
    environment = {**os.environ, **site.variables, "COMPOSE_PROJECT_NAME": site.project}
    script = subprocess.Popen(
        ["scripts/restore", "--force", file],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert script.stderr
    said = b""
    while b"Giving all files" not in said and (more := os.read(script.stderr.fileno(), 1000)):
        said += more
    os.killpg(script.pid, signal.SIGKILL)
    script.wait()
    site.run("app", "mkdir", "/srv/data/.backup", "/srv/media/.backup")
    left = ("find", "/srv", "-name", ".restore*", "-o", "-name", ".backup")
    names = {".restore", ".restore-ready", ".backup"}
    assert {Path(line).name for line in site.run("app", *left).splitlines()} == names
    site.up("--no-build")
    assert site.run("app", *left) == ""


def test_files_of_other_owners_are_backed_up_and_replaced(site: Stack, tmp_path: Path) -> None:
    """As "docker compose cp" makes them: hard links to them are refused (protected_hardlinks)."""
    assert Path("/proc/sys/fs/protected_hardlinks").read_text() == "1\n"
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "inside.jpg").write_bytes(b"a photo")
    for name, to in (("photos", "album"), ("photos/inside.jpg", "photo.jpg")):
        site.compose("cp", str(tmp_path / name), f"app:/srv/media/public/{to}")
    site.compose("cp", str(photos), "app:/srv/media/photos")
    owners = site.run(
        "app", "bash", "-c", "stat -c %u /srv/media/public/*/inside.jpg /srv/media/public/photo.jpg"
    )
    assert owners.split() == ["0", "0"]

    # What the site may not read is named: a file, and a folder.
    command_in_docs = re.search(
        r"^docker compose run .* chown .*$", (ROOT / "docs" / "operations.md").read_text(), re.M
    )
    assert command_in_docs
    made = site.container("app")
    for source, path, mode in (
        (photos / "inside.jpg", "public/secret.jpg", "0600"),
        (photos, "secrets", "0700"),
    ):
        site.compose("cp", str(source), f"app:/srv/media/{path}")
        chmod = ["chmod", mode, f"/srv/media/{path}"]
        assert made.exec_run(chmod, user="0:0", privileged=True).exit_code == 0
        said = reason(command(site, "scripts/backup", "--to", str(tmp_path / "to")))
        assert said == (
            f"scripts/backup: nothing was backed up: /srv/media/{path} belongs to 0:0 with mode {mode[1:]}, and the"
            ' site may not read it: "Files of other owners" in docs/operations.md has the command that gives it to'
            " the site."
        )
        assert list((tmp_path / "to").iterdir()) == []
        assert command(site, *command_in_docs[0].split()).returncode == 0

    backup(site, tmp_path)
    for name, to in (("photos", "public/album"), ("photos/inside.jpg", "public/photo.jpg")):
        site.compose("cp", str(tmp_path / name), f"app:/srv/media/{to}")
    file = backup(site, tmp_path)
    with tarfile.open(file) as archive:
        for name in ("public/album/photos/inside.jpg", "public/photo.jpg", "photos/inside.jpg"):
            content = archive.extractfile(f"media/{name}")
            assert content
            assert content.read() == b"a photo"
    for _ in range(2):  # nothing of the first one is in the way of the second
        process = command(site, "scripts/restore", "--force", str(file))
        assert process.returncode == 0, process.stderr
        site.compose("cp", str(photos), "app:/srv/media/photos")
    assert site.run("app", "cat", "/srv/media/public/photo.jpg") == "a photo"
    assert site.run("app", "find", "/srv/media", "-name", ".*") == ""


def test_a_file_that_is_deleted_while_it_is_backed_up_is_in_it(images: str) -> None:
    program = """
import io, sqlite3, sys, tarfile
from stack.backup import write as backup
sqlite3.connect("/srv/data/db.sqlite3").execute("CREATE TABLE a (b)")
upload = backup.MEDIA / "public" / "upload"
upload.write_text("uploaded")

class Output(io.BytesIO):
    def write(self, block):
        upload.unlink(missing_ok=True)
        return super().write(block)

output = Output()
backup.write(output, 10**9)
assert not upload.exists()
output.seek(0)
print(tarfile.open(fileobj=output).extractfile("media/public/upload").read())
"""
    output = run_once(
        f"{images}-app",
        ["bash", "-c", 'echo x >/srv/data/secret_key; exec python3 -c "$0"', program],
        DEFAULTS,
    )
    assert (output.out, output.err) == ("b'uploaded'\n", "")


def test_a_restore_that_is_killed_at_any_step_leaves_the_old_or_the_new(
    images: str, whole: Whole
) -> None:
    program = (ROOT / "tests" / "support" / "interrupted_restore.py").read_text()
    run = 'echo x >/srv/data/secret_key; exec python3 -c "$0" "$1"'
    for first in range(11 if whole else 1):
        output = run_once(f"{images}-app", ["bash", "-c", run, program, str(first)], DEFAULTS)
        assert (output.out, output.err) == ("old True new True left []\n", "")
