"""
Sends all that a site keeps (databases, secret key, uploads) to stdout as one file, or checks one that comes
from stdin. ``scripts/backup`` calls this, with ``write ROOM`` (at most so many bytes) and with ``check``.

The site goes on meanwhile, and every row in the backup has its files, since

- a database is copied as it was at one moment (SQLite's online backup);
- an upload is on the disk before its row, so the files are looked for after the database;
- a file that is deleted while the archive is being written is still in it: at the beginning, each file
  gets a second name (a hard link), which costs no room.
"""

import io
import json
import os
import shutil
import sqlite3
import sys
import tarfile
import time
from pathlib import Path

import archive
from archive import DATA, KEPT, MEDIA, SUMS, files

# What a run makes on the volumes; a run that was killed leaves it to the next one to remove.
SNAPSHOT = ".backup"


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment; nobody has to wait. Raise ``ValueError`` if it is damaged."""
    old = sqlite3.connect(source, timeout=20)
    new = sqlite3.connect(target)
    old.backup(new)
    new.close()
    old.close()
    archive.check_sqlite(target)


def take_data(snapshot: Path) -> None:
    """Copy what is on the data volume: databases as of one moment, the rest as it is."""
    for source in files(DATA):
        name = source.relative_to(DATA)
        if name.parts[0].startswith(".") or source.name.endswith(("-wal", "-shm", "-journal")):
            continue  # half-made things; and what SQLite's backup has already looked into
        target = snapshot / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if archive.is_sqlite(source):
            copy_sqlite(source, target)
        else:
            shutil.copyfile(source, target)
        shutil.copystat(source, target)


def take_media(snapshot: Path) -> None:
    """Give each upload a second name, under which it stays when the first one is deleted."""
    for place in KEPT:
        for source in files(MEDIA / place):
            target = snapshot / source.relative_to(MEDIA)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except (FileExistsError, FileNotFoundError):
                continue  # taken the first time; or deleted at this moment


def write(output, room: int) -> None:
    """Write an archive; raise ``ValueError`` or ``OSError`` when there is nothing, or no room for it."""
    if not (DATA / "db.sqlite3").exists():
        raise ValueError("there is nothing to back up: the site has no database yet.")
    archive.lock()
    snapshots = {"data": DATA / SNAPSHOT, "media": MEDIA / SNAPSHOT}
    try:
        for snapshot in snapshots.values():
            shutil.rmtree(snapshot, ignore_errors=True)
            snapshot.mkdir(mode=0o700)
        databases = sum(path.stat().st_size for path in DATA.glob("*.sqlite3*"))
        if shutil.disk_usage(DATA).free < databases * 1.1:
            raise ValueError(
                f"the data volume has no room for a copy of the database ({databases >> 10} KB)."
            )
        # Twice: what is deleted while the database is copied has its row in the copy.
        take_media(snapshots["media"])
        take_data(snapshots["data"])
        take_media(snapshots["media"])
        size = sum(path.stat().st_size for each in snapshots.values() for path in files(each))
        if size > room:
            raise ValueError(
                f"there is no room: it may take {size >> 10} KB, and {room >> 10} KB are free."
            )
        send(output, snapshots)
    finally:
        for snapshot in snapshots.values():
            shutil.rmtree(snapshot, ignore_errors=True)


def send(output, snapshots: dict[str, Path]) -> None:
    """Write an archive with the directories under their names."""
    about = {
        "format": archive.FORMAT,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "migrations": archive.known_migrations()[0],
    }
    sums = []
    # The fastest level: pictures do not get smaller, and the site wants the processor.
    with tarfile.open(fileobj=output, mode="w|gz", compresslevel=1) as tar:

        def add(name: str, file, status: os.stat_result | None = None) -> None:
            member = tarfile.TarInfo(name)
            member.mode = status.st_mode & 0o777 if status else 0o600
            member.mtime = int(status.st_mtime if status else time.time())
            member.size = status.st_size if status else len(file.getbuffer())
            content = archive.Hashing(file)
            tar.addfile(member, content)
            sums.append(f"{content.hash.hexdigest()}  {name}\n")

        add("backup.json", io.BytesIO(json.dumps(about).encode()))
        for directory, snapshot in snapshots.items():
            for path in files(snapshot):
                with path.open("rb") as file:
                    add(f"{directory}/{path.relative_to(snapshot)}", file, os.fstat(file.fileno()))
        add(SUMS, io.BytesIO("".join(sums).encode()))


if __name__ == "__main__":
    os.umask(0o077)
    try:
        match sys.argv[1:]:
            case ["write", room]:
                write(sys.stdout.buffer, int(room))
            case ["check"]:
                print(archive.check(sys.stdin.buffer))
            case _:
                sys.exit("usage: backup.py write ROOM | backup.py check")
    except (OSError, ValueError, sqlite3.Error) as error:
        sys.exit(str(error))
