"""
The one-shot job of compose/emperor.yaml: publish the vassals' ini files, each with its owner.

In tyrant mode a vassal runs as the owner of its ini file, but Git does not store owners. So each file in
uwsgi/vassals sets ``uid`` and ``gid``, as numbers, and this job copies it with that owner to the volume
that the Emperor watches. It copies files that are new, differ or were touched since, and removes those that
are gone from uwsgi/vassals. It may be repeated at any time: unchanged files are left alone.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path("/uwsgi/vassals")
VOLUME = Path("/run/vassals")
MARGIN = 0.02  # seconds by which a file's timestamp may lag behind the clock


def identity(name: str, text: str) -> tuple[int, int]:
    """Return the uid and gid that an ini file sets; raise ``ValueError`` if one is missing or is root's."""
    found = []
    for option in ("uid", "gid"):
        values = re.findall(rf"^\s*{option}\s*=\s*(\d+)\s*$", text, re.MULTILINE)
        if len(values) != 1 or values[0].strip("0") == "":
            raise ValueError(
                f"uwsgi/vassals/{name} needs one line {option} = NUMBER, and not 0: as whom the site runs"
            )
        found.append(int(values[0]))
    return found[0], found[1]


def check(source: Path) -> None:
    """
    Raise ``ValueError`` with uWSGI's own message if an ini file has an unknown option.

    The Emperor does not check: it would reload the site with that file, and the site would be down. Nothing
    is started here: a hook ends uWSGI once it has read the file.
    """
    command = ["uwsgi", "--ini", str(source), "--hook-asap", "exit:0"]
    process = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if process.returncode:
        *_, last = process.stdout.splitlines() or ["without a word"]
        raise ValueError(f"uWSGI refuses uwsgi/vassals/{source.name}: {last}")


def publish(name: str, content: bytes, uid: int, gid: int) -> None:
    """
    Put a file on the volume atomically: the Emperor sees the old file or the new one.

    The Emperor compares timestamps in whole seconds and would miss a second change within one, so this
    waits for the next second if need be.
    """
    target = VOLUME / name
    if target.exists():
        time.sleep(min(1, max(0, int(target.stat().st_mtime) + 1 - time.time())) + MARGIN)
    new = VOLUME / f"{name}.new"  # the Emperor reads *.ini only
    new.unlink(missing_ok=True)  # left by a job that was interrupted
    with new.open("xb") as file:
        file.write(content)
    new.chmod(0o440)
    os.chown(new, uid, gid)
    new.replace(target)


def differs(source: Path, content: bytes, uid: int, gid: int) -> bool:
    """Return whether the file on the volume differs in content or owner, or is older."""
    target = VOLUME / source.name
    if not target.exists():
        return True
    there = target.stat()
    touched = source.stat().st_mtime > there.st_mtime
    return touched or (there.st_uid, there.st_gid) != (uid, gid) or target.read_bytes() != content


def main() -> None:
    """Check all files, then publish them; raise ``ValueError`` with one sentence before anything changes."""
    wanted = {}
    for source in sorted(SOURCE.glob("*.ini")):
        content = source.read_bytes()
        wanted[source] = content, *identity(source.name, content.decode())
        check(source)
    for source, (content, uid, gid) in wanted.items():
        if differs(source, content, uid, gid):
            publish(source.name, content, uid, gid)
            print(f"vassals: {source.name} published, for {uid}:{gid}", flush=True)
    for target in VOLUME.glob("*.ini"):
        if SOURCE / target.name not in wanted:
            target.unlink()
            print(f"vassals: {target.name} removed", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"vassals: {error}")
