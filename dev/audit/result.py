"""What a tool found, our answers to it, and both as Markdown."""

import tomllib
from pathlib import Path
from typing import NamedTuple

# Findings that we accept, and why: {section: {finding: answer}}.
ANSWERS: dict[str, dict[str, str]] = tomllib.loads(
    (Path(__file__).parent / "answers.toml").read_text()
)


class CouldNotRun(Exception):
    """A tool could not run or finish; the message says what happened. This never counts as a pass."""


class Result(NamedTuple):
    """The result of one tool for one variant of the stack."""

    tool: str  # name and version
    grade: str  # the tool's or ours: "A+", "no findings"
    findings: dict[str, str]  # by the tool's name for it, which is the same in every variant
    table: list[list[str]] = []  # measurements; the first row is the header


def unanswered(section: str, results: list[Result]) -> list[str]:
    """Return one line for each finding without an answer."""
    answers = ANSWERS.get(section, {})
    found = {name: text for result in results for name, text in result.findings.items()}
    return [f"{name}: {text}" for name, text in found.items() if name not in answers]


def as_markdown(section: str, results: dict[str, Result]) -> str:
    """Return a section's results by variant, as in docs/audit.md."""
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
