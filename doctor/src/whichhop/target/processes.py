"""
The processes of a container, as the kernel shows them: uWSGI's, and nginx's workers.

/proc/PID/status: https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
"""

from typing import NamedTuple


class Identity(NamedTuple):
    """The rights of a process: effective uid and gid, and its supplementary groups."""

    uid: int
    gid: int
    groups: frozenset[int]

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"

    def may(self, right: str, mode: int, uid: int, gid: int) -> bool:
        """Return whether a file's mode and owner grant it a right ("r", "w" or "x")."""
        bit = {"r": 4, "w": 2, "x": 1}[right]
        if self.uid == 0:
            return right != "x" or bool(mode & 0o111)
        if self.uid == uid:
            return bool(mode >> 6 & bit)
        if gid == self.gid or gid in self.groups:
            return bool(mode >> 3 & bit)
        return bool(mode & bit)


class Process(NamedTuple):
    """One process; ``name`` is its program's name, at most 15 characters, ``command`` its command line."""

    pid: int
    parent: int
    name: str
    identity: Identity
    command: str
    program: str  # path of its executable
    directory: str  # its working directory


def _name(name: str, command: list[str]) -> str:
    """
    Return the kernel's name for a process, or "uwsgi" if that is Python's name for uWSGI.

    uWSGI as a Python extension sets its name when it starts, but not after a reload.
    """
    script = command[1].rsplit("/", 1)[-1] if len(command) > 1 else ""
    return script if name.startswith("python") and script in ("uwsgi", "pyuwsgi") else name


def parse(text: str) -> list[Process]:
    """Return the processes in the output of probes/processes.sh, in the order of their ids."""
    found = []
    for block in text.split("Process: ")[1:]:
        pid, *lines = block.splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        if "Gid" not in fields:
            continue  # it ended meanwhile
        groups = frozenset(map(int, fields.get("Groups", "").split()))
        identity = Identity(int(fields["Uid"].split()[1]), int(fields["Gid"].split()[1]), groups)
        found.append(
            Process(
                int(pid),
                int(fields["PPid"]),
                _name(fields["Name"].strip(), fields["Command"].split()),
                identity,
                fields["Command"].strip(),
                fields["Program"].strip(),
                fields["Directory"].strip(),
            )
        )
    return sorted(found)


def masters(processes: list[Process], name: str) -> list[Process]:
    """Return the processes with a name whose parents have another: masters, and single processes."""
    of_name = {process.pid for process in processes if process.name.startswith(name)}
    return [p for p in processes if p.pid in of_name and p.parent not in of_name]


def workers(processes: list[Process], master: Process) -> list[Process]:
    """Return a master's children of the same name; if there are none, the process itself."""
    return [p for p in processes if p.parent == master.pid and p.name == master.name] or [master]
