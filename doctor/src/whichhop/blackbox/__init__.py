"""
Check the hops that are visible from outside, for any URL: ``whichhop --url``.

Sends about twenty harmless requests, one at a time; it stores nothing and logs nobody in. An invented
host and a form from another origin may each leave a line in the site's log, as any bot does.
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

GATES = ("port", "tls", "nginx")  # always checked: the other hops depend on them

# Causes that make the later hops impossible to check; any cause at the port does.
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
    Yield the findings, hop by hop; raise ``ValueError`` if ``url`` is not a valid URL.

    ``routes`` are those of ``Client``. What cannot be checked is a finding, too, never an exception.
    """
    view = View(Client(url if "://" in url else f"https://{url}", routes))
    return walk(view, tuple(hops))


def walk(view: View, hops: Sequence[str] = HOPS) -> Iterator[Finding]:
    """Yield the findings of a view, hop by hop."""
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
        except Exception as error:  # no exception may hide the other hops
            reason = str(error) or type(error).__name__
            findings.append(unknown(hop, f"it could not be looked at: {reason}"))
        if any(f.cause in FATAL or (hop == "port" and f.verdict not in WORKS) for f in findings):
            mend_first = mend_first or hop
        seconds = time.monotonic() - started
        for finding in settle(findings) if hop in hops else []:
            yield clean(dataclasses.replace(finding, seconds=seconds))
            seconds = 0


def settle(findings: list[Finding]) -> list[Finding]:
    """Return the findings of one hop in order: the faults, or that it works; then the warnings."""
    bad = [finding for finding in findings if finding.verdict not in WORKS]
    good = [finding for finding in findings if finding.verdict is Verdict.OK]
    return (bad or good) + [item for item in findings if item.verdict is Verdict.WARNING]


def clean(finding: Finding) -> Finding:
    """Return a finding with its texts cut to a reasonable length, whatever a server has sent."""

    def text(value: str) -> str:
        return value if len(value) <= 300 else f"{value[:300]}…"

    return dataclasses.replace(
        finding,
        summary=text(finding.summary),
        evidence=tuple(map(text, finding.evidence)),
        fix=text(finding.fix),
    )
