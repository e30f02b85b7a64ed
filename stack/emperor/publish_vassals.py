"""
The one-shot job of compose/emperor.yaml: the ini files of the vassals, each with its owner.

Git keeps no owners, and in tyrant mode the owner of an ini is the user that its vassal runs as. So
each file of uwsgi/vassals names both (``uid`` and ``gid``, as numbers), and this copies it to the
volume that the Emperor watches: what is new, what differs, what was touched since. What is gone from
uwsgi/vassals goes there, too. May be repeated at any time: what has not changed is left alone.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path("/uwsgi/vassals")
VOLUME = Path("/run/vassals")
MARGIN = 0.02  # seconds by which a file's time may be behind the clock


def identity(name: str, text: str) -> tuple[int, int]:
    """Return the uid and gid that an ini names; raise ``ValueError`` when one is missing, or root's."""
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
    Raise ``ValueError`` with uWSGI's own words when it does not know an option of an ini.

    The Emperor asks nobody: it would reload the site with that, and the site would be down. Nothing is
    started here: the hook ends uWSGI once it has read the file.
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
    Put a file on the volume: the Emperor sees the old one or the new one, never half of it.

    It compares times in whole seconds, and would not notice another file of the same second: so this
    waits for the next one, a second at most.
    """
    target = VOLUME / name
    if target.exists():
        time.sleep(min(1, max(0, int(target.stat().st_mtime) + 1 - time.time())) + MARGIN)
    new = VOLUME / f"{name}.new"  # the Emperor looks at .ini only
    new.unlink(missing_ok=True)  # of a job that was interrupted
    with new.open("xb") as file:
        file.write(content)
    new.chmod(0o440)
    os.chown(new, uid, gid)
    new.replace(target)


def differs(source: Path, content: bytes, uid: int, gid: int) -> bool:
    """Return whether what is on the volume is another file, another owner's, or older."""
    target = VOLUME / source.name
    if not target.exists():
        return True
    there = target.stat()
    touched = source.stat().st_mtime > there.st_mtime
    return touched or (there.st_uid, there.st_gid) != (uid, gid) or target.read_bytes() != content


def main() -> None:
    """Check all files, then publish; raise ``ValueError`` with a sentence before anything is done."""
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
