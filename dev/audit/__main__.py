"""The command line of scripts/audit."""

import argparse
import signal
import subprocess
import sys
import time

import docker.errors
from whichhop.target.stack import StackError

from dev.audit.result import CouldNotRun, Result, as_markdown, unanswered
from dev.audit.stand import ROOT, VARIANTS, stand
from dev.audit.tools import SECTIONS

DOCUMENT = ROOT / "docs" / "audit.md"


def write(section: str, results: dict[str, Result]) -> None:
    """Write a section's results between its markers in docs/audit.md."""
    text = DOCUMENT.read_text()
    begin, end = f"<!-- scripts/audit {section} -->\n", "<!-- end -->"
    before, found, rest = text.partition(begin)
    if not found:
        raise CouldNotRun(f"{DOCUMENT.relative_to(ROOT)} has no place for it: {begin.strip()}")
    after = rest.partition(end)[2]
    DOCUMENT.write_text(f"{before}{begin}{as_markdown(section, results)}\n{end}{after}")


def say(text: str) -> None:
    print(text, flush=True)


def audit(names: list[str], into_document: bool) -> int:
    """Run the sections; return the exit status of scripts/audit."""
    results: dict[str, dict[str, Result]] = {name: {} for name in names}
    failed: set[str] = set()
    with stand() as become:
        for variant in VARIANTS:
            wanted = [name for name in names if variant in SECTIONS[name].variants]
            if not wanted:
                continue
            stack = become(variant)
            for name in wanted:
                started = time.monotonic()
                try:
                    result = results[name][variant] = SECTIONS[name].run(stack)
                    took = f"{time.monotonic() - started:.0f} s"
                    say(f"{name:<11} {variant:<5}  {result.tool}: {result.grade} ({took})")
                    widths = [max(map(len, column)) for column in zip(*result.table, strict=True)]
                    for row in result.table:
                        cells = (
                            f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
                        )
                        say(f"    {'  '.join(cells)}".rstrip())
                except (CouldNotRun, StackError, LookupError) as error:
                    failed.add(name)
                    lacks = "its output lacks " if isinstance(error, LookupError) else ""
                    say(f"{name:<11} {variant:<5}  COULD NOT RUN: {lacks}{error}")
    open_points = 0
    for name in (name for name in names if name not in failed):
        lines = unanswered(name, list(results[name].values()))
        open_points += len(lines)
        for line in lines:
            say(f"✗ {name}: {line}")
        if into_document:
            write(name, results[name])
    if failed:
        say(f"\nCould not run: {', '.join(sorted(failed))}.")
        return 2
    say(f"\nFindings without an answer in dev/audit/answers.toml: {open_points or 'none'}.")
    return 1 if open_points else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/audit", add_help=False)
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.sections:
        if name not in SECTIONS:
            parser.error(f"unknown section {name!r}; there are {', '.join(SECTIONS)}.")
    # Clean up on SIGTERM, too, as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return audit(arguments.sections or list(SECTIONS), arguments.write)
    except (
        StackError,
        CouldNotRun,
        docker.errors.DockerException,
        subprocess.TimeoutExpired,
    ) as error:
        print(f"scripts/audit: nothing more could be looked at: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scripts/audit: interrupted; what it started is removed.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
