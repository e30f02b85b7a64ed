"""A backup made while the site is in use brings back all of it, and nothing else ever comes in."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import requests
from whichhop.stack import Stack, run_once

from tests.conftest import ROOT, started
from tests.support.people import command, create_user, is_logged_in, log_in, png, upload
from tests.support.whole import Whole
from tests.support.writers import Tally, check, writing
from tests.test_settings import DEFAULTS

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
    stage += ["python3", "/uwsgi/restore.py", "stage", "token", "--force"]
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


def test_a_file_that_is_deleted_while_it_is_backed_up_is_in_it(images: str) -> None:
    program = """
import io, sqlite3, sys, tarfile
sys.path.insert(0, "/uwsgi")
import backup
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
