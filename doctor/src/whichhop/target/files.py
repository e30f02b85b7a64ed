"""Access rights of nginx's workers to the files of its container, by mode and owner."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NamedTuple

from whichhop.target.processes import Identity
from whichhop.target.stack import Output, StackError


class Place(NamedTuple):
    """A file: its kind as stat names it ("socket", "directory", …), mode and owner."""

    kind: str
    mode: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"mode {self.mode:04o}, owner {self.uid}:{self.gid}"


class Files:
    """The files of a container, read as root and judged for one identity."""

    def __init__(self, service: str, execute: Callable[..., Output], identity: Identity) -> None:
        self._service, self._exec, self._identity = service, execute, identity

    def along(self, path: str) -> dict[str, Place]:
        """Return the file at a path and each directory above it, from / down."""
        way = [*reversed(PurePosixPath(path).parents), PurePosixPath(path)]
        command = ("stat", "-L", "-c", "%n|%F|%a|%u|%g", *map(str, way))
        seen = self._exec(*command, user="0", privileged=True)
        if not seen.out.startswith("/|"):  # / always exists: the engine lost the answer
            seen = self._exec(*command, user="0", privileged=True)
        if not seen.out.startswith("/|"):
            raise StackError(
                f"what is at {path} in {self._service} cannot be seen: {seen.err.strip()}"
            )
        found = {}
        for line in seen.out.splitlines():
            place, kind, mode, uid, gid = line.rsplit("|", 4)
            found[place] = Place(kind, int(mode, 8), int(uid), int(gid))
        return found

    def denied(self, right: str, path: str) -> tuple[str, Place] | None:
        """
        Return the path and the file whose mode and owner deny a right ("r", "w" or "x") to ``path``.

        Directories above the path that deny access come before the path itself.
        """
        for place, found in self.along(path).items():
            needed = right if place == path else "x"
            if not self._identity.may(needed, found.mode, found.uid, found.gid):
                return place, found
        return None

    def why_not(self, right: str, path: str) -> dict[str, str]:
        """
        Return ``denied`` as values for a cause: the ``identity``, the ``path`` at fault, and its mode and
        owner as ``blame``; raise ``StackError`` if no mode or owner denies access.
        """
        denied = self.denied(right, path)
        if denied is None:
            raise StackError(f"nginx may not use {path}, though every mode on the way allows it")
        place, found = denied
        return {"identity": str(self._identity), "path": place, "blame": str(found)}
