"""The findings as text for a terminal, as JSON, and as JUnit XML."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from xml.etree import ElementTree

from whichhop.finding import HOPS, WORKS, Finding, Verdict

SIGNS = {
    Verdict.OK: "✓",
    Verdict.WARNING: "!",
    Verdict.BROKEN: "✗",
    Verdict.BLOCKED: "·",
    Verdict.UNKNOWN: "?",
}
COLOURS = {
    Verdict.OK: 32,
    Verdict.WARNING: 33,
    Verdict.BROKEN: 31,
    Verdict.BLOCKED: 90,
    Verdict.UNKNOWN: 33,
}


def exit_status(findings: Sequence[Finding], strict: bool = False) -> int:
    """
    Return 1 if something is broken, else 2 if something could not be checked, else 0.

    With ``strict``, a warning counts as broken; otherwise it does not count.
    """
    verdicts = {finding.verdict for finding in findings}
    if Verdict.BROKEN in verdicts or (strict and Verdict.WARNING in verdicts):
        return 1
    return 2 if verdicts & {Verdict.UNKNOWN, Verdict.BLOCKED} else 0


def line(finding: Finding, colour: bool) -> str:
    """Return a finding as one line: verdict, hop, how long the check took, and the summary."""
    sign, code = SIGNS[finding.verdict], COLOURS[finding.verdict]
    seconds = f"{finding.seconds:4.1f} s" if finding.seconds else " " * 6
    text = f"{sign} {finding.hop:<8} {seconds}  {finding.summary}"
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def summary(findings: Sequence[Finding]) -> str:
    """Return what to do first, as briefly as possible."""
    broken = [finding for finding in findings if finding.verdict is Verdict.BROKEN]
    lines = _first(broken) if broken else [_all_well(findings)]
    notes = [finding for finding in findings if finding.verdict is Verdict.WARNING]
    if notes:
        lines += ["", "Not broken, but worth knowing:"]
        for finding in notes:
            lines += ["", f"  {_where(finding)}: {finding.summary}", f"    To do: {finding.fix}"]
    return "\n".join(lines)


def _where(finding: Finding) -> str:
    site = f" of {finding.site}" if finding.site else ""
    return f"{finding.hop}{site} ({finding.cause})"


def _first(broken: Sequence[Finding]) -> list[str]:
    first = broken[0]
    lines = [f"The first broken hop is: {_where(first)}", "", f"  {first.summary}"]
    if first.evidence:
        lines += ["", "  Seen:", *(f"    {item}" for item in first.evidence if item)]
    lines += ["", f"  To do: {first.fix}"]
    if len(broken) > 1:
        later = ", ".join(_where(finding) for finding in broken[1:])
        lines += ["", f"Also broken: {later}. Fix the first one first, then look again."]
    return lines


def _all_well(findings: Sequence[Finding]) -> str:
    unsure = [finding.hop for finding in findings if finding.verdict not in WORKS]
    if unsure:
        return f"Nothing is known to be broken, but this could not be judged: {', '.join(unsure)}."
    hops = list(dict.fromkeys(finding.hop for finding in findings))
    sites = list(dict.fromkeys(finding.site for finding in findings))
    what = f"All {len(HOPS)} hops work" if len(hops) == len(HOPS) else f"Works: {', '.join(hops)}"
    where = f", for {' and '.join(sites)}" if len(sites) > 1 else ""
    return f"{what}{where} ({sum(finding.seconds for finding in findings):.1f} s)."


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a JSON array, one object each, in the order of the chain."""
    return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False)


def as_junit(findings: Sequence[Finding]) -> str:
    """
    Return the findings as JUnit XML: a test case for each, its class name the hop.

    Broken is a failure; blocked and could-not-tell are errors, so that CI does not count them as passed. A
    warning passes, under the name of its cause.
    """
    suite = ElementTree.Element("testsuite", name="doctor", tests=str(len(findings)))
    counts = {"failure": 0, "error": 0}
    for finding in findings:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{finding.site}.{finding.hop}" if finding.site else finding.hop,
            name=finding.cause or finding.verdict.value,
            time=f"{finding.seconds:.3f}",
        )
        if finding.verdict not in WORKS:
            kind = "failure" if finding.verdict is Verdict.BROKEN else "error"
            counts[kind] += 1
            ElementTree.SubElement(case, kind, message=finding.summary).text = finding.fix
        said = [finding.summary, *finding.evidence, finding.fix]
        ElementTree.SubElement(case, "system-out").text = "\n".join(filter(None, said))
    suite.set("failures", str(counts["failure"]))
    suite.set("errors", str(counts["error"]))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
