"""
The secret key, with which Django signs sessions, password resets and messages: one file on the data
volume, readable by its owner only. Its first line is the current key; the others are older keys that
are still accepted (``SECRET_KEY_FALLBACKS``), so that a new key logs nobody out.
https://docs.djangoproject.com/en/6.1/ref/settings/#secret-key-fallbacks

``stack rotate`` adds a new key and keeps the older ones; ``stack forget`` drops the older ones.
The site picks up the change at its next reload, which scripts/rotate-secret-key does as well.
"""

import fcntl
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from .fsync import publish

FILE = Path("/srv/data/secret_key")


def make(path: Path = FILE) -> bool:
    """Write a new key unless there is one; return whether this call created it."""
    if not path.exists():
        try:
            # A link, unlike a rename, never replaces a file: of two processes at once, the first one wins.
            publish(path, secrets.token_urlsafe(50), os.link)
            return True
        except FileExistsError:
            pass
    path.chmod(0o600)
    return False


def change(path: Path, new: Callable[[list[str]], list[str]]) -> int:
    """Replace the keys with ``new(keys)``; return how many older ones are accepted now."""
    directory = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)  # without it, two at once could lose a key
    try:
        keys = new(path.read_text().split())
        publish(path, "\n".join(keys), os.replace)
    finally:
        os.close(directory)
    return len(keys) - 1


def main(command: str) -> None:
    if command == "rotate":
        older = change(FILE, lambda keys: [secrets.token_urlsafe(50), *keys])
        print(f"a new secret key is in place; older ones that still count: {older}")
    elif command == "forget":
        change(FILE, lambda keys: keys[:1])
        print("no older secret key counts any more")
    else:
        sys.exit("usage: stack rotate | stack forget")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except FileNotFoundError:
        sys.exit("there is no secret key yet: the first start makes one")
