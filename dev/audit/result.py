"""What a tool found, what we answer, and both as text."""

import tomllib
from pathlib import Path
from typing import NamedTuple

# For each section, what a tool found that we do not change, and why: {section: {finding: answer}}.
ANSWERS: dict[str, dict[str, str]] = tomllib.loads(
    (Path(__file__).parent / "answers.toml").read_text()
)


class CouldNotRun(Exception):
    """A tool did not do its work; the message says what was seen. It is never a pass."""


class Result(NamedTuple):
    """What one tool says of one variant of the stack."""

    tool: str  # its name and version
    grade: str  # in its own words, or ours: "A+", "no findings"
    findings: dict[str, str]  # by the name that the tool gives it; the same wherever it is found
    table: list[list[str]] = []  # what was measured; the first row has the titles


def unanswered(section: str, results: list[Result]) -> list[str]:
    """Return a line for each finding that has no answer."""
    answers = ANSWERS.get(section, {})
    found = {name: text for result in results for name, text in result.findings.items()}
    return [f"{name}: {text}" for name, text in found.items() if name not in answers]


def as_markdown(section: str, results: dict[str, Result]) -> str:
    """Return the results of a section, by variant, as they stand in docs/audit.md."""
    lines = [f"| {next(iter(results.values())).tool} | result |", "|---|---|"]
    lines += [f"| {variant} | {result.grade} |" for variant, result in results.items()]
    for result in results.values():
        if result.table:
            head, *rows = result.table
            lines += ["", _row(head), "|---" * len(head) + "|", *map(_row, rows)]
    found = {name: text for result in results.values() for name, text in result.findings.items()}
    if found:
        lines += ["", "| finding | answer |", "|---|---|"]
        answers = ANSWERS.get(section, {})
        lines += [_row([f"`{name}`", answers.get(name, "**none yet**")]) for name in found]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
