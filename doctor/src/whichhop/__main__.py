"""The command line: ``whichhop``, or ``python -m whichhop``."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import docker.errors

from whichhop import __version__, blackbox, causes, report
from whichhop.diagnosis import diagnose
from whichhop.finding import HOPS, Finding, printable
from whichhop.target.discovery import sites
from whichhop.target.site import Site
from whichhop.target.stack import Stack, StackError

FORMATS = {"json": report.as_json, "junit": report.as_junit}


def arguments() -> argparse.Namespace:
    """Return the parsed command line; exit with status 2 and a message if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="whichhop",
        description="Walks the chain from the client to the database and says which hop is broken,"
        " why, and what to do. It changes nothing.",
        epilog="Exit status: 0 all hops work (with warnings, too, unless --strict), 1 one is broken, 2 something"
        " could not be judged.",
    )
    where = parser.add_argument_group(
        "what to look at (without any of these: the project in this folder)"
    )
    where.add_argument(
        "--project-directory", type=Path, metavar="PATH", help="the folder of a Compose project"
    )
    where.add_argument("--nginx", metavar="SERVICE", default="", help="its service with nginx")
    where.add_argument("--app", metavar="SERVICE", default="", help="its service with uWSGI")
    where.add_argument(
        "--url", metavar="ADDRESS", help="a site, from outside: what any visitor could see"
    )
    parser.add_argument(
        "--format", choices=["terminal", *FORMATS], default="terminal", help="what to print"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it to a file instead")
    parser.add_argument(
        "--hop", choices=HOPS, action="append", help="judge this hop only; may be repeated"
    )
    parser.add_argument("--strict", action="store_true", help="a warning ends with status 1, too")
    parser.add_argument(
        "--watch", action="store_true", help="look again and again; say when something changes"
    )
    parser.add_argument(
        "--list-causes", action="store_true", help="print every cause that can be named, and stop"
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    options = parser.parse_args()
    if options.url:
        if options.project_directory or options.nginx or options.app:
            parser.error("--url looks from outside: it knows no project and no services")
        if others := [hop for hop in options.hop or () if hop not in blackbox.HOPS]:
            parser.error(f"from outside, {' and '.join(others)} cannot be judged")
    return options


def find_sites(options: argparse.Namespace) -> list[Site]:
    """Return the sites to check; raise ``StackError`` with a message if there are none."""
    directory = options.project_directory or Path.cwd()
    if not directory.is_dir():
        raise StackError(f"there is no directory {options.project_directory}")
    stack = Stack.of(directory)
    stack.engine.ping()
    found = sites(stack, options.nginx, options.app)
    declared = found[0].declaration
    if unknown := {*declared.fixes, *declared.log} - {*causes.CAUSES}:
        raise StackError(f"x-whichhop in the Compose file: no cause is called {min(unknown)}")
    return found


def walk(options: argparse.Namespace, say: Callable[[str], None]) -> Iterator[Finding]:
    """Yield the findings at each hop of each site; announce each hop before it is checked."""
    if options.url:
        yield from blackbox.check(options.url, options.hop or blackbox.HOPS)
        return
    for number, site in enumerate(find_sites(options)):
        running = site.stack.running()
        for hop in options.hop or HOPS:
            say(hop)
            findings = list(diagnose(site, [hop]))
            # If a deploy has replaced a container meanwhile, check the new one.
            while report.exit_status(findings) and (now := site.stack.running()) != running:
                running, site = now, find_sites(options)[number]
                findings = list(diagnose(site, [hop]))
            yield from findings


def look(options: argparse.Namespace, quiet: bool = False) -> list[Finding]:
    """Walk the chain once, showing progress on stderr; return the findings."""
    terminal = sys.stderr.isatty() and not quiet
    colour = terminal and not os.environ.get("NO_COLOR")

    def say(hop: str) -> None:
        if terminal:
            print(f"… {hop}", end="\r", file=sys.stderr, flush=True)

    findings: list[Finding] = []
    site = ""
    for finding in walk(options, say):
        findings.append(finding)
        if quiet:
            continue
        if finding.site != site:
            site = finding.site
            print(f"\n{site}", file=sys.stderr)
        print(report.line(finding, colour), file=sys.stderr)
    return findings


def watch(options: argparse.Namespace) -> int:
    """Walk the chain every few seconds until Ctrl-C and print changes; return the last exit status."""
    before: Sequence[tuple[str, str, str, str]] | None = None
    findings: list[Finding] = []
    try:
        while True:
            findings = look(options, quiet=True)
            now = [(f.site, f.hop, f.verdict, f.cause) for f in findings]
            if now != before:
                print(f"{datetime.now():%H:%M:%S}  {report.summary(findings)}\n", flush=True)
            before = now
            time.sleep(2)
    except KeyboardInterrupt:
        return report.exit_status(findings, options.strict)


def main() -> int:
    """Run the command; return its exit status."""
    options = arguments()
    if options.list_causes:
        print(causes.table(), end="")
        return 0
    try:
        if options.output:
            options.output.touch()  # fail now rather than after all the work
        if options.watch:
            return watch(options)
        findings = look(options)
    except docker.errors.DockerException as error:
        print(f"whichhop: no Docker engine answers: {printable(str(error))}", file=sys.stderr)
        return 2
    except (StackError, OSError, ValueError) as error:
        print("whichhop: " + "\n".join(map(printable, str(error).splitlines())), file=sys.stderr)
        return 2

    text = FORMATS.get(options.format, report.summary)(findings)
    if options.output:
        options.output.write_text(f"{text}\n")
    else:
        print(text if options.format in FORMATS else f"\n{text}")
        if options.url and options.format not in FORMATS:
            print(blackbox.NOTE)
    return report.exit_status(findings, options.strict)


if __name__ == "__main__":
    sys.exit(main())
