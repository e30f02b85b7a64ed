"""What was found, for a person at a terminal, as JSON, and as JUnit XML."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from xml.etree import ElementTree

from hops.finding import HOPS, Finding, Verdict

SIGNS = {Verdict.OK: "✓", Verdict.BROKEN: "✗", Verdict.BLOCKED: "·", Verdict.UNKNOWN: "?"}
COLOURS = {Verdict.OK: 32, Verdict.BROKEN: 31, Verdict.BLOCKED: 90, Verdict.UNKNOWN: 33}


def exit_status(findings: Sequence[Finding]) -> int:
    """Return 1 when something is broken, else 2 when something could not be told, else 0."""
    verdicts = {finding.verdict for finding in findings}
    if Verdict.BROKEN in verdicts:
        return 1
    return 2 if verdicts & {Verdict.UNKNOWN, Verdict.BLOCKED} else 0


def line(finding: Finding, colour: bool) -> str:
    """Return a finding as one line."""
    text = f"{SIGNS[finding.verdict]} {finding.hop:<8} {finding.summary}"
    return f"\x1b[{COLOURS[finding.verdict]}m{text}\x1b[0m" if colour else text


def summary(findings: Sequence[Finding]) -> str:
    """Return what to do first, in as few words as a tired person needs."""
    broken = [finding for finding in findings if finding.verdict is Verdict.BROKEN]
    if not broken:
        seconds = sum(finding.seconds for finding in findings)
        unsure = [finding.hop for finding in findings if finding.verdict is not Verdict.OK]
        if unsure:
            return (
                f"Nothing is known to be broken, but this could not be judged: {', '.join(unsure)}."
            )
        hops = [finding.hop for finding in findings]
        what = (
            f"All {len(HOPS)} hops work" if len(hops) == len(HOPS) else f"Works: {', '.join(hops)}"
        )
        return f"{what} ({seconds:.1f} s)."
    first = broken[0]
    lines = [f"The first broken hop is: {first.hop} ({first.cause})", "", f"  {first.summary}"]
    if first.evidence:
        lines += ["", "  Seen:", *(f"    {item}" for item in first.evidence)]
    lines += ["", f"  To do: {first.fix}"]
    if len(broken) > 1:
        later = ", ".join(f"{finding.hop} ({finding.cause})" for finding in broken[1:])
        lines += ["", f"Also broken: {later}. Mend the first one first, then look again."]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a JSON array, one object each, in the order of the chain."""
    return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False)


def as_junit(findings: Sequence[Finding]) -> str:
    """
    Return the findings as JUnit XML: a test case for each, its class name the hop.

    Broken is a failure; blocked and could-not-tell are errors, so that no CI takes them for passed.
    """
    suite = ElementTree.Element("testsuite", name="doctor", tests=str(len(findings)))
    counts = {"failure": 0, "error": 0}
    for finding in findings:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=finding.hop,
            name=finding.cause or finding.verdict.value,
            time=f"{finding.seconds:.3f}",
        )
        if finding.verdict is not Verdict.OK:
            kind = "failure" if finding.verdict is Verdict.BROKEN else "error"
            counts[kind] += 1
            ElementTree.SubElement(case, kind, message=finding.summary).text = finding.fix
        ElementTree.SubElement(case, "system-out").text = "\n".join(finding.evidence)
    suite.set("failures", str(counts["failure"]))
    suite.set("errors", str(counts["error"]))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
