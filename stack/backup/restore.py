"""
Replace a site's data with a backup, completely or not at all. ``scripts/restore`` calls this.

``stack restore stage TOKEN [--force]`` reads an archive from stdin and unpacks it beside the data, which it does not
change. ``stack restore swap TOKEN [--force]``, with the site stopped, then swaps the two. TOKEN identifies the
restore.

A swap is many renames; a mark file makes it atomic. Before the mark exists, the old data is valid and untouched.
Once it exists, the new data is valid: if the swap is interrupted, the next start completes it before anything
else (init.py calls ``finish``).
"""

import os
import shutil
import sqlite3
import sys
from pathlib import Path

from ..fsync import sync
from ..paths import DATA, MEDIA
from . import archive, kept
from .write import SNAPSHOT

VOLUMES = {"data": DATA, "media": MEDIA}
READY = DATA / ".restore-ready"  # staging is complete; holds the token
MARK = DATA / ".restore-mark"  # once it exists, the new data is valid

# On each volume, in this order: the unpacked data; the data about to be moved into place; the old data.
STAGED, INCOMING, REPLACED = ".restore", ".restore-incoming", ".restore-replaced"


@archive.whole()
def unpack(opened: archive.Archive, here: dict[str, Path]) -> int:
    """
    Unpack an archive beside the data, databases under the site's own paths; return the number of files.

    Raise ``ValueError`` if it is incomplete or does not fit this site.
    """
    count = 0
    for member, content in opened.files():
        volume, name = member.name.split("/", 1)
        target = VOLUMES[volume] / STAGED / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        # Modes as Django sets them (FILE_UPLOAD_PERMISSIONS); the secret key is for its owner only.
        target.chmod(member.mode & 0o640 | 0o600)
        os.utime(target, (member.mtime, member.mtime))
        count += 1
    # Only now is it known to be complete.
    accept(opened.about, here)
    for alias, name in opened.about["databases"].items():
        database = DATA / STAGED / name.removeprefix("data/")
        target = DATA / STAGED / here[alias].relative_to(DATA)
        archive.check_sqlite(database)
        if target != database and target.exists():
            raise ValueError(
                f'it has another file where this site has its database "{alias}": {here[alias].name}.'
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        database.rename(target)
    return count


def accept(about: dict, here: dict[str, Path]) -> None:
    """Raise ``ValueError`` if this site or this release cannot use the backup."""
    for alias in about["databases"]:
        if alias not in here:
            raise ValueError(
                f'it holds a database "{alias}", and DATABASES in the settings of this site names none.'
            )
    last, known = archive.known_migrations()
    for app, name in about["migrations"].items():
        if app in last and (app, name) not in known:
            raise ValueError(
                f"it was made by newer code: this release does not know the migration {app}.{name}."
                " Restore it with the release that made it, or a later one."
            )


def refuse_data(about: dict) -> None:
    """Raise ``ValueError`` if the site has data that would be lost; say whether the backup is of another site."""
    there = kept.content()
    if not there:
        return
    reason = "there is a site with data already"
    if about["site"] is None:
        reason = (
            "it does not say of which site it is a backup, and there is a site with data already"
        )
    elif about["site"] != kept.site_id():
        reason = f"it is a backup of another site{of(about)}, and there is a site with data already"
    raise ValueError(f"{reason} ({there}), which would be lost; --force replaces them.")


def of(about: dict) -> str:
    """Return the address of an archive's site, in parentheses."""
    return f" ({about['url'] or about['site']})"


def stage(stream, token: str, force: bool) -> str:
    """Unpack an archive beside the data, which does not change; return a description of the archive."""
    archive.lock()
    finish()
    here = kept.databases()
    opened = archive.Archive(stream)
    if not force:
        refuse_data(opened.about)
    READY.unlink(missing_ok=True)
    discard(STAGED, REPLACED)  # left by restores that were killed
    try:
        for volume in VOLUMES.values():
            (volume / STAGED).mkdir()
        count = unpack(opened, here)
    except BaseException:
        discard(STAGED)
        raise
    READY.write_text(token)
    os.sync()  # one sync for all files, before anything relies on them
    foreign = opened.about["site"] not in (None, kept.site_id()) and kept.content()
    whose = f", of another site{of(opened.about)}" if foreign else ""
    return f"{count} files, as they were at {opened.about['made']}{whose}"


def swap(token: str, force: bool) -> None:
    """
    Replace the data with what was staged.

    Raise ``ValueError`` if the staged data is gone, or, unless forced, if the site has data by now.
    """
    archive.lock()
    if not READY.exists() or READY.read_text() != token:
        raise ValueError("another restore, or a start of the site, came in between.")
    if not force and (there := kept.content()):
        raise ValueError(f"something was saved meanwhile ({there}); --force replaces it.")
    discard(REPLACED)  # a swap fails if it exists
    READY.rename(MARK)
    sync(DATA)
    finish()


def finish() -> bool:
    """Complete a swap that was interrupted; return whether there was one. This may be interrupted and repeated."""
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


def tidy() -> None:
    """Remove what a killed backup or restore has left, unless one is running now."""
    try:
        lock = archive.lock()
    except ValueError:
        return
    READY.unlink(missing_ok=True)
    discard(STAGED, REPLACED, SNAPSHOT)
    os.close(lock)


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
            case ["swap", token, *rest]:
                swap(token, rest == ["--force"])
            case _:
                sys.exit(
                    "usage: stack restore stage TOKEN [--force] | stack restore swap TOKEN [--force]"
                )
    except (OSError, ValueError, KeyError, sqlite3.Error) as error:
        sys.exit(str(error))
