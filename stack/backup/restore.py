"""
Puts a backup in the place of what a site keeps: all of it, or nothing. ``scripts/restore`` calls this.

``stack restore stage TOKEN [--force]`` reads an archive from stdin and unpacks it beside the data, which stay
as they are; ``stack restore swap TOKEN [--force]``, with the site stopped, then exchanges the two. TOKEN says whose
restore it is.

A swap is many renames. What makes it one step is a mark: without it the old data count, and nothing of
them was touched. With it the new ones count, and whatever ends a swap half-way, the next start goes on
with it before anything else (init.py calls ``finish``).
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
READY = DATA / ".restore-ready"  # staged, with the token
MARK = DATA / ".restore-mark"  # from here on the new data count

# On each volume, in this order: unpacked; about to take its place; what was there before.
STAGED, INCOMING, REPLACED = ".restore", ".restore-incoming", ".restore-replaced"


@archive.whole()
def unpack(opened: archive.Archive, here: dict[str, Path]) -> int:
    """
    Unpack an archive beside the data, its databases where the site has them; return how many files.

    Raise ``ValueError`` when it is not whole, or does not fit this site.
    """
    count = 0
    for member, content in opened.files():
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
    """Raise ``ValueError`` when this site cannot use what another one, or another release, wrote."""
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
    """Raise ``ValueError`` when the site has data, which would be lost; say first if they are another's."""
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
    """Return the address of the site that an archive is of, in parentheses."""
    return f" ({about['url'] or about['site']})"


def stage(stream, token: str, force: bool) -> str:
    """Unpack an archive beside the data; return what it is. Nothing is changed yet."""
    archive.lock()
    finish()
    here = kept.databases()
    opened = archive.Archive(stream)
    if not force:
        refuse_data(opened.about)
    READY.unlink(missing_ok=True)
    discard(STAGED, REPLACED)  # of earlier ones that were killed
    try:
        for volume in VOLUMES.values():
            (volume / STAGED).mkdir()
        count = unpack(opened, here)
    except BaseException:
        discard(STAGED)
        raise
    READY.write_text(token)
    os.sync()  # many files: one wait for all of them, before anything depends on them
    foreign = opened.about["site"] not in (None, kept.site_id()) and kept.content()
    whose = f", of another site{of(opened.about)}" if foreign else ""
    return f"{count} files, as they were at {opened.about['made']}{whose}"


def swap(token: str, force: bool) -> None:
    """
    Exchange the data for what was staged.

    Raise ``ValueError`` when that is not there any more, or, unless forced, when there are data by now.
    """
    archive.lock()
    if not READY.exists() or READY.read_text() != token:
        raise ValueError("another restore, or a start of the site, came in between.")
    if not force and (there := kept.content()):
        raise ValueError(f"something was saved meanwhile ({there}); --force replaces it.")
    discard(REPLACED)  # a swap would stumble over it
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


def tidy() -> None:
    """Remove what a backup or a restore that was killed has left, unless one is under way now."""
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
