"""
Write all data of a site (databases, secret key, uploads) to stdout as one file, or check one from stdin.
``scripts/backup`` calls this with ``write ROOM`` (at most that many bytes) and with ``check``.

The site keeps running, and every row in the backup has its files, because

- each database is copied as of one moment (SQLite's online backup);
- an upload is on disk before its row, so the files are listed after the databases are copied;
- each file gets a hard link first, which takes no space, so a file that is deleted meanwhile is still included.
"""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import sys
import tarfile
import time
from pathlib import Path

from ..paths import DATA, MEDIA
from . import archive, kept
from .archive import SUMS
from .gzip_stream import GzipWriter
from .kept import files

# Temporary directories on the volumes; if a run is killed, the next one removes them.
SNAPSHOT = ".backup"


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as of one moment, without blocking the site. Raise ``ValueError`` if it is damaged."""
    old = sqlite3.connect(source, timeout=20)
    new = sqlite3.connect(target)
    try:
        old.backup(new)
    finally:
        new.close()
        old.close()
    archive.check_sqlite(target)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, unless it is deleted meanwhile. Raise ``PermissionError`` if it cannot be read."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(source, target)
        copy_facts(source, target)


def copy_facts(source: Path, target: Path) -> None:
    """Copy mode and times of a file. The owner is not copied, so that this process can read the copy."""
    shutil.copystat(source, target)
    target.chmod(target.stat().st_mode | 0o600)


def take_data(snapshot: Path, databases: set[Path]) -> None:
    """Copy the data volume: databases as of one moment, other files as they are."""
    for source in [*databases, *files(DATA)]:
        target = snapshot / source.relative_to(DATA)
        if target.exists() or kept.is_of_sqlite(source):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source in databases:
            copy_sqlite(source, target)
            copy_facts(source, target)
        elif kept.is_sqlite(source):
            # A database that the site's settings do not name: back it up all the same.
            try:
                copy_sqlite(source, target)
                copy_facts(source, target)
            except (sqlite3.Error, ValueError):
                copy_file(source, target)
        else:
            copy_file(source, target)


def take_media(snapshot: Path) -> None:
    """Hard-link each upload, so that it stays readable if it is deleted."""
    for source in files(MEDIA):
        target = snapshot / source.relative_to(MEDIA)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except (FileExistsError, FileNotFoundError):
            continue  # linked in the first pass, or deleted just now
        except OSError:
            # Usually another user's file: proc(5), protected_hardlinks.
            copy_file(source, target)
        else:
            with target.open("rb"):
                pass  # linking needs no read permission, so check it here


def readable(error: PermissionError) -> str:
    """Return a sentence that says which file or directory the site may not read, and why."""
    path = Path(error.filename)
    for volume in (DATA, MEDIA):
        if path.is_relative_to(volume / SNAPSHOT):
            path = volume / path.relative_to(volume / SNAPSHOT)
    try:
        status = path.lstat()
        whose = f" belongs to {status.st_uid}:{status.st_gid} with mode {status.st_mode & 0o777:o},"
    except OSError:  # it is in a directory without search permission
        path, whose = path.parent, ""
    return (
        f"{path}{whose} and the site may not read it:"
        ' "Files of other owners" in docs/operations.md has the command that gives it to the site.'
    )


def write(output, room: int) -> None:
    """Write an archive; raise ``ValueError`` or ``OSError`` if there is no data or not enough space."""
    named = kept.databases()
    databases = {alias: path for alias, path in named.items() if path.exists()}
    if named and not databases:
        raise ValueError("there is nothing to back up: the site has no database yet.")
    archive.lock()
    kept.make_id()
    snapshots = {"data": DATA / SNAPSHOT, "media": MEDIA / SNAPSHOT}
    try:
        for snapshot in snapshots.values():
            shutil.rmtree(snapshot, ignore_errors=True)
            snapshot.mkdir(mode=0o700)
        copies = sum(path.stat().st_size for path in files(DATA))
        if shutil.disk_usage(DATA).free < copies * 1.1:
            raise ValueError(
                f"the data volume has no room for a copy of what is on it ({copies >> 10} KB)."
            )
        # Before and after: a file deleted while the databases are copied may still have its row in the copy.
        take_media(snapshots["media"])
        take_data(snapshots["data"], {*databases.values()})
        take_media(snapshots["media"])
        size = sum(path.stat().st_size for each in snapshots.values() for path in files(each))
        if size > room:
            raise ValueError(
                f"there is no room: it may take {size >> 10} KB, and {room >> 10} KB are free."
            )
        send(output, snapshots, databases)
    except PermissionError as error:
        raise ValueError(readable(error)) from None
    finally:
        for snapshot in snapshots.values():
            shutil.rmtree(snapshot, ignore_errors=True)


def send(output, snapshots: dict[str, Path], databases: dict[str, Path]) -> None:
    """Write an archive of these directories under these names."""
    about = {
        "format": archive.FORMAT,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "site": kept.site_id(),
        "url": os.environ.get("SITE_URL", ""),
        "databases": {alias: f"data/{path.relative_to(DATA)}" for alias, path in databases.items()},
        "uploads": sum(1 for _ in files(snapshots["media"])),
        "migrations": archive.known_migrations()[0],
    }
    sums = []
    stream = GzipWriter(output)
    with tarfile.open(fileobj=stream, mode="w", copybufsize=1 << 20) as tar:

        def add(name: str, file, status: os.stat_result | None = None) -> None:
            member = tarfile.TarInfo(name)
            member.mode = status.st_mode & 0o777 if status else 0o600
            member.mtime = int(status.st_mtime if status else time.time())
            member.size = status.st_size if status else len(file.getbuffer())
            content = archive.Hashing(file)
            tar.addfile(member, content)
            sums.append(f"{content.hash.hexdigest()}  {name}\n")

        add(archive.ABOUT, io.BytesIO(json.dumps(about).encode()))
        for directory, snapshot in snapshots.items():
            for path in files(snapshot):
                with path.open("rb") as file:
                    add(f"{directory}/{path.relative_to(snapshot)}", file, os.fstat(file.fileno()))
        add(SUMS, io.BytesIO("".join(sums).encode(errors="surrogateescape")))
    stream.close()


if __name__ == "__main__":
    os.umask(0o077)
    try:
        match sys.argv[1:]:
            case ["write", room]:
                write(sys.stdout.buffer, int(room))
            case ["check"]:
                print(archive.check(sys.stdin.buffer))
            case _:
                sys.exit("usage: stack backup write ROOM | stack backup check")
    except (OSError, ValueError, sqlite3.Error) as error:
        sys.exit(str(error))
