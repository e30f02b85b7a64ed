"""
The Emperor, a uWSGI that starts others, and its vassals: one for each ini file in a directory.

Nothing here draws conclusions. https://uwsgi-docs.readthedocs.io/en/latest/Emperor.html
"""

import itertools
import re
import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from whichhop.target.processes import Process, masters
from whichhop.target.stack import Stack

# Prints each ini file that a pattern matches: owner, name and text.
SHOW = r'for f in {}; do [ -f "$f" ] && stat -c "Vassal: %u %g %n" "$f" && cat "$f" && echo; done'

# Options with which one ini file includes another.
INCLUDES = r"^\s*(?:ini|include|inherit)\s*=\s*(/\S+?)(?::\w+)?\s*$"


class Vassal(NamedTuple):
    """An ini file in the Emperor's directory, and the uWSGI that runs from it."""

    file: str
    uid: int  # the file's owner, as which the vassal runs in tyrant mode
    gid: int
    text: str  # its content, and that of the files that it includes
    master: Process | None  # None if it does not run

    @property
    def name(self) -> str:
        return PurePosixPath(self.file).name

    @property
    def directory(self) -> str:
        return str(PurePosixPath(self.file).parent)

    def has(self, socket: str | tuple[str, int]) -> bool:
        """Return whether its ini file names a socket: a path, or host and port."""
        stem = PurePosixPath(self.file).stem
        text = self.text.replace("%n", stem).replace("%d", f"{self.directory}/")
        for name, value in re.findall(r"^\s*([\w-]+)\s*=\s*(\S+)", text, re.MULTILINE):
            text = text.replace(f"%({name})", value)
        if isinstance(socket, str):
            return bool(re.search(rf"(?<![\w.-]){re.escape(socket)}(?!\S)", text))
        return bool(re.search(rf":{socket[1]}(?!\S)", text))

    def is_near(self, socket: str | tuple[str, int]) -> bool:
        """Return whether its ini file names a socket in the same directory, which may have been renamed."""
        if not isinstance(socket, str):
            return False
        place = re.escape(str(PurePosixPath(socket).parent))
        return bool(
            re.search(rf"^\s*(?:uwsgi-)?socket\s*=\s*{place}/[^/\s]+\s*$", self.text, re.MULTILINE)
        )


def look(stack: Stack, service: str, processes: list[Process]) -> list[Vassal] | None:
    """Return the vassals of a service's Emperor; ``None`` if no Emperor runs."""
    for first in masters(processes, "uwsgi"):
        started = _started(processes, first)
        # Only then is it worth reading the options, since most are no Emperors. (Others may have such
        # children, too: auto-procname gives each process its own command line.)
        if started or "emperor" in first.command:
            places = list(_places(stack, service, first))
            if places:
                return _vassals(stack, service, places, started)
    return None


def _started(processes: list[Process], first: Process) -> list[Process]:
    """Return an Emperor's vassals among its children: a mere fork has its parent's command line, a vassal another."""
    by_pid = {process.pid: process for process in processes if process.name == first.name}
    return [
        process
        for process in by_pid.values()
        if (parent := by_pid.get(process.parent)) and process.command != parent.command
        and parent.command == first.command
    ]  # fmt: skip


def _places(stack: Stack, service: str, first: Process) -> Iterable[str]:
    """Yield shell patterns for the places where an Emperor looks for ini files."""
    words = re.sub(r"(--emperor)=", r"\1 ", first.command).split()
    values = [value for option, value in itertools.pairwise(words) if option == "--emperor"]
    inis = [word for word in words if word.endswith(".ini")]
    if inis:
        text = stack.exec(service, "cat", *inis, user="0", privileged=True).out
        values += re.findall(r"^\s*emperor\s*=\s*(\S+)", text, re.MULTILINE)
    for value in values:
        path = re.sub(r"^(?:dir|glob)://", "", value)
        if not path.startswith("/"):
            path = f"{first.directory}/{path}"
        yield path if "*" in path else f"{shlex.quote(path.rstrip('/'))}/*.ini"


def _vassals(stack: Stack, service: str, places: list[str], started: list[Process]) -> list[Vassal]:
    found = []
    for uid, gid, file, text in _read(stack, service, places):
        name = PurePosixPath(file).name
        run = [
            p for p in started if name in (PurePosixPath(word).name for word in p.command.split())
        ]
        included = re.findall(INCLUDES, text, re.MULTILINE)
        more = [piece[3] for piece in _read(stack, service, map(shlex.quote, included))]
        master = next(iter(run), None)
        found.append(Vassal(file, uid, gid, "\n".join([text, *more]), master))
    return found


def _read(stack: Stack, service: str, patterns: Iterable[str]) -> list[tuple[int, int, str, str]]:
    """Return the files that match these patterns: uid and gid of the owner, path, text."""
    listed = " ".join(patterns)
    if not listed:
        return []
    seen = stack.exec(service, "sh", "-c", SHOW.format(listed), user="0", privileged=True).out
    found = []
    for block in re.split(r"^Vassal: (?=\d+ \d+ /)", seen, flags=re.MULTILINE)[1:]:
        head, _, text = block.partition("\n")
        uid, gid, file = head.split(" ", 2)
        found.append((int(uid), int(gid), file, text))
    return found
