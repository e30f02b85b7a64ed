"""
The hops that can be judged from outside, for any address: ``whichhop --url``.

About twenty harmless requests, one at a time: nothing is stored, nobody is logged in. An invented
host and a form from another origin may leave a line in the site's log, as any robot's visit does.
"""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from whichhop.blackbox import django, media, nginx, port, static, tls
from whichhop.blackbox.view import View
from whichhop.finding import WORKS, Finding, Verdict, blocked, unknown
from whichhop.target.client import Address, Client

CHECKS = {
    "port": port,
    "tls": tls,
    "nginx": nginx,
    "static": static,
    "media": media,
    "django": django,
}
HOPS = tuple(CHECKS)
NOTE = (
    "From outside, socket, uwsgi, database and chain cannot be judged:"
    " whichhop on that machine does."
)

GATES = ("port", "tls", "nginx")  # looked at in any case: on them depends whether others can be

# What leaves nothing to look at for the hops behind; any fault of the port does.
FATAL = {
    "tls-plain-port",
    "tls-handshake-fails",
    "https-refused",
    "does-not-answer",
    "host-not-served",
    "other-server-answers",
    "app-not-reached",
    "page-too-slow",
    "nginx-redirect-loop",
}


def check(
    url: str, hops: Iterable[str] = HOPS, routes: Mapping[int, Sequence[Address]] | None = None
) -> Iterator[Finding]:
    """
    Yield what is found, hop by hop; raise ``ValueError`` when ``url`` is not an address.

    ``routes`` are those of ``Client``. What cannot be seen is a finding too, never an exception.
    """
    view = View(Client(url if "://" in url else f"https://{url}", routes))
    return walk(view, tuple(hops))


def walk(view: View, hops: Sequence[str] = HOPS) -> Iterator[Finding]:
    """Yield what is found in a view, hop by hop."""
    mend_first = ""
    for number, (hop, module) in enumerate(CHECKS.items()):
        if not set(HOPS[number:]) & set(hops):
            return
        if hop not in hops and (mend_first or hop not in GATES):
            continue
        started = time.monotonic()
        findings: list[Finding] = []
        try:
            findings.extend([blocked(hop, mend_first)] if mend_first else module.check(view))
        except TimeoutError:
            findings.append(unknown(hop, "the site is too slow for all that is to be judged here"))
        except Exception as error:  # whatever it is, it must not hide the other hops
            reason = str(error) or type(error).__name__
            findings.append(unknown(hop, f"it could not be looked at: {reason}"))
        if any(f.cause in FATAL or (hop == "port" and f.verdict not in WORKS) for f in findings):
            mend_first = mend_first or hop
        seconds = time.monotonic() - started
        for finding in settle(findings) if hop in hops else []:
            yield clean(dataclasses.replace(finding, seconds=seconds))
            seconds = 0


def settle(findings: list[Finding]) -> list[Finding]:
    """Return the findings of one hop in order: what is wrong, or that it works; then the warnings."""
    bad = [finding for finding in findings if finding.verdict not in WORKS]
    good = [finding for finding in findings if finding.verdict is Verdict.OK]
    return (bad or good) + [item for item in findings if item.verdict is Verdict.WARNING]


def clean(finding: Finding) -> Finding:
    """Return a finding that is not too long, whatever a server has sent."""

    def text(value: str) -> str:
        return value if len(value) <= 300 else f"{value[:300]}…"

    return dataclasses.replace(
        finding,
        summary=text(finding.summary),
        evidence=tuple(map(text, finding.evidence)),
        fix=text(finding.fix),
    )
