#!/usr/bin/env -S python3 -P
"""
``stack WORD``: the one command by which Compose and scripts/ ask a container of the site for something.

The label ``stack.command`` of an image says so (Dockerfile.app). A script may be of another release than the
container that it asks, so a word keeps its meaning, wherever what it stands for moves to.
(-P: from the folder of this file, no site shall import.)
"""

import os
import runpy
import sys

# What each word runs, with the arguments that it stands for.
PROGRAMS: dict[str, tuple[str, ...]] = {
    "init": ("stack.init",),
    "check": ("stack.init", "--check"),
    "healthcheck": ("stack.healthcheck",),
    "promote": ("stack.handover.promote",),
    "serves": ("stack.handover.promote", "--serves"),
    "drain": ("stack.handover.drain",),
    "pause": ("stack.handover.pause",),
    "workers": ("stack.handover.workers",),
    "backup": ("stack.backup.write",),
    "restore": ("stack.backup.restore",),
    "rotate": ("stack.secret_key", "rotate"),
    "forget": ("stack.secret_key", "forget"),
    "publish-vassals": ("stack.emperor.publish_vassals",),
    "emperor-healthcheck": ("stack.emperor.healthcheck",),
}


def main(word: str = "", *arguments: str) -> None:
    """Run what a word stands for, in this process."""
    if word == "check-uwsgi":  # it reads its file, and starts nothing
        os.execvp("uwsgi", ["uwsgi", "--ini", "/uwsgi/mysite.ini", "--hook-asap", "exit:0"])  # noqa: S606
    if word not in PROGRAMS:
        sys.exit(f"usage: stack check-uwsgi|{'|'.join(PROGRAMS)} [ARGUMENT…]")
    module, *given = PROGRAMS[word]
    sys.argv[1:] = [*given, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
