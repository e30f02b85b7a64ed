"""The command line of the harness: scripts/doctor is this, in its virtual environment."""

import argparse
import os
import sys
from pathlib import Path

import docker.errors

from hops import report
from hops.causes import CAUSES
from hops.diagnosis import diagnose
from hops.finding import HOPS, Finding
from hops.site import Site
from hops.stack import Stack, StackError

FORMATS = {"json": report.as_json, "junit": report.as_junit}


def arguments() -> argparse.Namespace:
    """Return the command line, checked; exits with status 2 and a sentence when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="scripts/doctor",
        description="Walks the chain from the client to the database and says which hop is broken,"
        " why, and what to do. It changes nothing.",
        epilog="Exit status: 0 all hops work, 1 one is broken, 2 something could not be judged.",
    )
    parser.add_argument(
        "--format", choices=["terminal", *FORMATS], default="terminal", help="what to print"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it to a file instead")
    parser.add_argument(
        "--hop", choices=HOPS, action="append", help="judge this hop only; may be repeated"
    )
    parser.add_argument(
        "--list-causes", action="store_true", help="print every cause that can be named, and stop"
    )
    return parser.parse_args()


def causes_table() -> str:
    """Return docs/causes.md."""
    rows = "".join(
        f"| `{slug}` | {cause.hop} | {cause.symptom} | {cause.wrong} | {cause.fix} |\n"
        for slug, cause in CAUSES.items()
    )
    return (
        "# What the doctor can name\n\n"
        "Made by `scripts/doctor --list-causes`. Words in braces are filled in with what was found.\n\n"
        "| cause | hop | you see | what is wrong | what to do |\n|---|---|---|---|---|\n" + rows
    )


def main() -> int:
    """Run the command; return its exit status."""
    options = arguments()
    if options.list_causes:
        print(causes_table(), end="")
        return 0
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    findings: list[Finding] = []
    try:
        if options.output:
            options.output = Path(os.environ.get("CALLED_FROM", "."), options.output)
            options.output.touch()  # now, rather than after all the work
        site = Site(Stack.of(Path.cwd()))
        site.stack.engine.ping()
        for finding in diagnose(site, options.hop or HOPS):
            findings.append(finding)
            print(report.line(finding, colour), file=sys.stderr)
    except docker.errors.DockerException as error:
        print(f"scripts/doctor: no Docker engine answers: {error}", file=sys.stderr)
        return 2
    except (StackError, OSError) as error:
        print(f"scripts/doctor: {error}", file=sys.stderr)
        return 2

    text = FORMATS.get(options.format, report.summary)(findings)
    if options.output:
        options.output.write_text(f"{text}\n")
    else:
        print(text if options.format in FORMATS else f"\n{text}")
    return report.exit_status(findings)


if __name__ == "__main__":
    sys.exit(main())
