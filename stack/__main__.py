#!/usr/bin/env -S python3 -P
"""
``stack WORD``: the one command that Compose and scripts/ run in a container of the site.

Dockerfile.app names it in the image's label ``stack.command``. The script and the container may be of different
releases, so a word keeps its meaning even when the module behind it moves.
(-P keeps this file's folder off sys.path, so that a site cannot import from it by accident.)
"""

import os
import runpy
import sys

# The module that each word runs, and its arguments.
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
    """Run the module or program for a word, in this process."""
    if word == "check-uwsgi":  # reads its configuration, starts nothing
        os.execvp("uwsgi", ["uwsgi", "--ini", "/uwsgi/mysite.ini", "--hook-asap", "exit:0"])  # noqa: S606
    if word not in PROGRAMS:
        sys.exit(f"usage: stack check-uwsgi|{'|'.join(PROGRAMS)} [ARGUMENT…]")
    module, *given = PROGRAMS[word]
    sys.argv[1:] = [*given, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
