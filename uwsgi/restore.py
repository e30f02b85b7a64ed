"""
Puts a backup in the place of what a site keeps: all of it, or nothing. ``scripts/restore`` calls this.

``restore.py stage TOKEN [--force]`` reads an archive from stdin and unpacks it beside the data, which stay
as they are; ``restore.py swap TOKEN``, with the site stopped, then exchanges the two. TOKEN says whose
restore it is.

A swap is many renames. What makes it one step is a mark: without it the old data count, and nothing of
them was touched. With it the new ones count, and whatever ends a swap half-way, the next start goes on
with it before anything else (init.py calls ``finish``).
"""

import json
import os
import shutil
import sqlite3
import sys

import archive
from archive import DATA, MEDIA
from durable import sync

VOLUMES = {"data": DATA, "media": MEDIA}
READY = DATA / ".restore-ready"  # staged, with the token
MARK = DATA / ".restore-mark"  # from here on the new data count

# On each volume, in this order: unpacked; about to take its place; what was there before.
STAGED, INCOMING, REPLACED = ".restore", ".restore-incoming", ".restore-replaced"


@archive.whole()
def unpack(stream) -> str:
    """Unpack an archive beside the data, and check it; return what it is. Raise ``ValueError`` if bad."""
    about = b""
    count = 0
    for member, content in archive.read(stream):
        if member.name == "backup.json":
            about = content.read()
            continue
        volume, name = member.name.split("/", 1)
        target = VOLUMES[volume] / STAGED / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        # As Django makes them (FILE_UPLOAD_PERMISSIONS), the secret key for its owner alone.
        target.chmod(member.mode & 0o640 | 0o600)
        os.utime(target, (member.mtime, member.mtime))
        count += 1
    # Only now is it known to be whole.
    facts = json.loads(about)
    accept(facts)
    for path in archive.files(DATA / STAGED):
        if archive.is_sqlite(path):
            archive.check_sqlite(path)
    return f"{count} files, as they were at {facts['made']}"


def accept(about: dict) -> None:
    """Raise ``ValueError`` when this release cannot read what another one wrote."""
    if about.get("format") != archive.FORMAT:
        raise ValueError(
            f"its format is {about.get('format')!r}, and this release knows {archive.FORMAT} only."
        )
    last, known = archive.known_migrations()
    for app, name in about["migrations"].items():
        if app in last and (app, name) not in known:
            raise ValueError(
                f"it was made by newer code: this release does not know the migration {app}.{name}."
                " Restore it with the release that made it, or a later one."
            )


def stage(stream, token: str, force: bool) -> str:
    """Unpack an archive beside the data; return what it is. Nothing is changed yet."""
    archive.lock()
    finish()
    if (DATA / "db.sqlite3").exists() and not force:
        raise ValueError(
            "there is a site with data already, and they would be lost; --force replaces them."
        )
    READY.unlink(missing_ok=True)
    discard(STAGED, REPLACED)  # of earlier ones that were killed
    try:
        for volume in VOLUMES.values():
            (volume / STAGED).mkdir()
        for place in archive.KEPT:
            (MEDIA / STAGED / place).mkdir()
        said = unpack(stream)
    except BaseException:
        discard(STAGED)
        raise
    READY.write_text(token)
    os.sync()  # many files: one wait for all of them, before anything depends on them
    return said


def swap(token: str) -> None:
    """Exchange the data for what was staged. Raise ``ValueError`` when that is not there any more."""
    archive.lock()
    if not READY.exists() or READY.read_text() != token:
        raise ValueError("another restore came in between.")
    READY.rename(MARK)
    sync(DATA)
    finish()


def finish() -> bool:
    """Carry a swap that was begun to its end; return whether there was one. May be interrupted, too."""
    if not MARK.exists():
        return False
    for volume in VOLUMES.values():
        staged, incoming, replaced = (volume / name for name in (STAGED, INCOMING, REPLACED))
        if staged.exists():
            replaced.mkdir(exist_ok=True)
            for entry in volume.iterdir():
                if not entry.name.startswith(".restore"):
                    entry.rename(replaced / entry.name)
            sync(volume)
            staged.rename(incoming)
            sync(volume)
        if incoming.exists():
            for entry in incoming.iterdir():
                entry.rename(volume / entry.name)
            sync(volume)
            incoming.rmdir()
    MARK.unlink()
    sync(DATA)
    discard(REPLACED)
    return True


def discard(*names: str) -> None:
    for volume in VOLUMES.values():
        for name in names:
            shutil.rmtree(volume / name, ignore_errors=True)


if __name__ == "__main__":
    os.umask(0o027)
    try:
        match sys.argv[1:]:
            case ["stage", token, *rest]:
                print(stage(sys.stdin.buffer, token, rest == ["--force"]))
            case ["swap", token]:
                swap(token)
            case _:
                sys.exit("usage: restore.py stage TOKEN [--force] | restore.py swap TOKEN")
    except (OSError, ValueError, KeyError, sqlite3.Error) as error:
        sys.exit(str(error))
