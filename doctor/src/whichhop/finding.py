"""What a check finds: the hop, the verdict, the cause, what was seen, and what to do."""

from dataclasses import dataclass, field
from enum import StrEnum

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
    """What is known of a hop. ``UNKNOWN`` is never ``OK``."""

    OK = "ok"
    BROKEN = "broken"
    BLOCKED = "blocked"  # by an earlier hop: nothing can be said before that is mended
    UNKNOWN = "could not tell"


def printable(text: str) -> str:
    """Return a text with nothing in it that does something to a terminal: that is spelled out."""
    return "".join(
        char if char.isprintable() else " " if char == "\t" else ascii(char)[1:-1] for char in text
    )


@dataclass(frozen=True)
class Finding:
    """One thing that is known of a hop. What it says can be printed, whatever it quotes."""

    hop: str
    verdict: Verdict
    summary: str  # one sentence
    cause: str = ""  # a slug of whichhop.causes: when broken, or when something will hurt later
    evidence: tuple[str, ...] = ()  # the very log line, mode, setting or packet
    fix: str = ""  # a command, or the line to change
    seconds: float = field(default=0, compare=False)  # that looking at the hop took
    site: str = ""  # its host, where nginx serves several

    def __post_init__(self) -> None:
        for name in ("summary", "fix", "site"):
            object.__setattr__(self, name, printable(getattr(self, name)))
        lines = [line for item in self.evidence for line in item.splitlines()]
        object.__setattr__(self, "evidence", tuple(map(printable, lines)))


def ok(hop: str, summary: str, *evidence: str) -> Finding:
    """Return that a hop works, and by what it was judged."""
    return Finding(hop, Verdict.OK, summary, evidence=evidence)


def blocked(hop: str, by: str) -> Finding:
    """Return that nothing can be said of a hop while what it needs is broken."""
    return Finding(hop, Verdict.BLOCKED, f"cannot be judged before {by} is mended")


def unknown(hop: str, reason: str, *evidence: str) -> Finding:
    """Return that a hop could not be judged, and why."""
    return Finding(hop, Verdict.UNKNOWN, reason, evidence=evidence)
