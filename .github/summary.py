"""
Tells a GitHub run what the doctor found: as a job summary, an annotation and the action's outputs.

usage: summary.py REPORT STATUS: the doctor's JUnit file and its exit status. Standard library only.
"""

import os
import sys
from html import escape
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

STATUS = {"0": "ok", "1": "broken"}
OK, ADVICE, UNKNOWN, BROKEN = "✅", "⚠️", "❔", "❌"


class Case(NamedTuple):
    """What the report says of a hop."""

    sign: str
    hop: str
    name: str  # the cause, when there is one
    seconds: str
    message: str
    seen: str  # and, in an advice, what to do
    fix: str


def read(report: Path) -> list[Case]:
    """Return the cases of a report; nothing when the doctor could not even begin."""
    try:
        suite = ElementTree.parse(report)  # noqa: S314 (ours, of a moment ago)
    except (OSError, ElementTree.ParseError):
        return []
    cases = []
    for case in suite.iter("testcase"):
        name, said = case.get("name", ""), case.findtext("system-out", "")
        failure, error = case.find("failure"), case.find("error")
        trouble = error if failure is None else failure
        if trouble is None:
            sign, message, fix = OK if name == "ok" else ADVICE, said.partition("\n")[0], ""
        else:
            sign = UNKNOWN if failure is None else BROKEN
            message, fix = trouble.get("message", ""), trouble.text or ""
        seen = said.removeprefix(message).removesuffix(fix).strip()
        hop, seconds = case.get("classname", ""), case.get("time", "")
        cases.append(Case(sign, hop, name, seconds, message, seen, fix))
    return cases


def headline(cases: list[Case], worst: Case | None) -> str:
    """Return the result in a few words."""
    if not cases:
        return "the stack could not be looked at"
    if worst is None:
        return f"{len({case.hop for case in cases})} hops work"
    if worst.sign == UNKNOWN:
        return f"{worst.hop} could not be judged"
    return f"{worst.hop} is broken ({worst.name})"


def plain(text: str) -> str:
    """Return a text so that markdown shows it as it is: it may quote logs."""
    text = escape(text, quote=False)
    return "".join(f"&#{ord(sign)};" if sign in "|`*_[]~\\\r\n" else sign for sign in text)


def markdown(cases: list[Case], worst: Case | None) -> str:
    """Return the job summary."""
    lines = [f"### The doctor: {plain(headline(cases, worst))}", ""]
    if not cases:
        return "\n".join([*lines, "The log of this step says why.", ""])
    lines += ["| | hop | | seconds |", "|---|---|---|--:|"]
    lines += [
        f"| {case.sign} | {plain(case.hop)} | {plain(case.message)} | {case.seconds} |"
        for case in cases
    ]
    for case in cases:
        if case == worst or case.sign == ADVICE:
            what = f"**To do:** {plain(case.fix)}" if case.fix else plain(case.message)
            lines += ["", f"{case.sign} {plain(case.hop)}: {what}"]
            lines += ["", f"<pre>{escape(case.seen)}</pre>"] if case.seen else []
    return "\n".join([*lines, ""])


def annotation(cases: list[Case], worst: Case | None) -> str:
    """Return the command that makes the runner show an error, quoted as the runner wants it."""
    title, text = headline(cases, worst), "the log of this step says why"
    if worst:
        parts = ("", worst.message), ("Seen: ", worst.seen), ("To do: ", worst.fix)
        text = "\n".join(label + part for label, part in parts if part)
    for sign, quoted in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        title, text = title.replace(sign, quoted), text.replace(sign, quoted)
    return f"::error title={title.replace(':', '%3A').replace(',', '%2C')}::{text}"


def main(report: Path, status: str) -> None:
    """Write it all."""
    cases = read(report)
    found = [case for sign in (BROKEN, UNKNOWN) for case in cases if case.sign == sign]
    worst = found[0] if found else None
    if status != "0":
        print(annotation(cases, worst))
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(markdown(cases, worst))
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(f"status={STATUS.get(status, 'unknown')}\n")
        outputs.write(f"cause={worst.name if worst and worst.sign == BROKEN else ''}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
