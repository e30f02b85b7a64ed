"""Findings, and the causes that they can name; nothing here inspects a stack."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

# The chain, in the order of a request. The names are the same everywhere: modules, reports, docs.
HOPS = (
    "port",
    "tls",
    "nginx",
    "static",
    "media",
    "socket",
    "uwsgi",
    "django",
    "database",
    "chain",
)


class Verdict(StrEnum):
    """The result for a hop. ``UNKNOWN`` is never ``OK``."""

    OK = "ok"
    WARNING = "warning"  # it works, but something affects some users, or will cause trouble later
    BROKEN = "broken"
    BLOCKED = "blocked"  # by an earlier hop: it cannot be checked until that is fixed
    UNKNOWN = "could not tell"


WORKS = (Verdict.OK, Verdict.WARNING)


def printable(text: str) -> str:
    """Return a text with control characters escaped, so that it cannot affect a terminal."""
    return "".join(
        char if char.isprintable() else " " if char == "\t" else ascii(char)[1:-1] for char in text
    )


@dataclass(frozen=True)
class Finding:
    """One result for a hop. Its texts are safe to print, whatever they quote."""

    hop: str
    verdict: Verdict
    summary: str  # one sentence
    cause: str = ""  # a slug of whichhop.causes; set if broken or a warning
    evidence: tuple[str, ...] = ()  # the actual log line, mode, setting or packet
    fix: str = ""  # what to do
    fix_kind: str = ""  # "command", "config" (a line of a configuration) or "by hand"
    seconds: float = field(default=0, compare=False)  # that checking the hop took
    site: str = ""  # its host, if nginx serves several sites

    def __post_init__(self) -> None:
        for name in ("summary", "fix", "site"):
            object.__setattr__(self, name, printable(getattr(self, name)))
        lines = [line for item in self.evidence for line in item.splitlines()]
        object.__setattr__(self, "evidence", tuple(map(printable, lines)))


def ok(hop: str, summary: str, *evidence: str) -> Finding:
    """Return that a hop works, with the evidence."""
    return Finding(hop, Verdict.OK, summary, evidence=evidence)


def blocked(hop: str, by: str) -> Finding:
    """Return that a hop cannot be checked while something that it needs is broken."""
    return Finding(hop, Verdict.BLOCKED, f"cannot be judged before {by} is fixed")


def unknown(hop: str, reason: str, *evidence: str) -> Finding:
    """Return that a hop could not be checked, and why."""
    return Finding(hop, Verdict.UNKNOWN, reason, evidence=evidence)


# -- causes


class Fix(NamedTuple):
    """What to do, and whether it is a command to run, a configuration line to change, or manual work."""

    kind: str
    text: str


def command(text: str) -> Fix:
    """Return a fix that is a command."""
    return Fix("command", text)


def config(text: str) -> Fix:
    """Return a fix that is a configuration line."""
    return Fix("config", text)


def by_hand(text: str) -> Fix:
    """Return a fix that needs manual work."""
    return Fix("by hand", text)


class Cause(NamedTuple):
    """
    A cause: its hop, what a user sees, what is wrong (one sentence), and the fix.

    Placeholders in braces are filled in with what was found.
    """

    hop: str
    symptom: str
    wrong: str
    fix: Fix


class Subject(Protocol):
    """What is checked: its values for the placeholders of causes, and its own fixes, by cause."""

    @property
    def words(self) -> Mapping[str, object]: ...

    @property
    def fixes(self) -> Mapping[str, str]: ...


class Anybody:
    """A subject without values or fixes of its own."""

    words: Mapping[str, object] = {}
    fixes: Mapping[str, str] = {}


ANYBODY = Anybody()


class Causes(dict[str, Cause]):
    """The causes of a module, by slug."""

    def broken(self, subject: Subject, cause: str, *evidence: object, **words: object) -> Finding:
        """Return that a hop is broken by a cause, with the values for its placeholders."""
        return self._finding(Verdict.BROKEN, subject, cause, evidence, words)

    def warning(self, subject: Subject, cause: str, *evidence: object, **words: object) -> Finding:
        """
        Return that a hop works, but that a cause affects some users or will cause trouble later.

        Also for what any client can provoke by what it sends.
        """
        return self._finding(Verdict.WARNING, subject, cause, evidence, words)

    def _finding(
        self,
        verdict: Verdict,
        subject: Subject,
        cause: str,
        evidence: tuple[object, ...],
        words: Mapping[str, object],
    ) -> Finding:
        entry, known = self[cause], {**subject.words, **words}
        fix = Fix("by hand", subject.fixes[cause]) if cause in subject.fixes else entry.fix
        return Finding(
            entry.hop,
            verdict,
            entry.wrong.format(**known),
            cause,
            tuple(map(str, evidence)),
            fix.text.format(**known),
            fix.kind,
        )


def merge(*tables: Causes) -> Causes:
    """Return the causes of several modules; raise ``ValueError`` if two modules define the same one."""
    merged = Causes()
    for table in tables:
        if twice := {*merged} & {*table}:
            raise ValueError(f"more than one module has the cause {', '.join(sorted(twice))}")
        merged.update(table)
    return merged
