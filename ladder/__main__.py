"""
The command line of the ladder: climb it, or one rung; write ladder/README.md anew.

Called by ``scripts/ladder``, which knows the options and has built the images.
"""

import argparse
import re
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
from whichhop.diagnosis import diagnose
from whichhop.finding import HOPS, Verdict
from whichhop.target.discovery import sites
from whichhop.target.stack import Stack, StackError

from ladder import page, rungs
from ladder.rungs import Answer, NotAnswered, Rung

PROGRAM = "scripts/ladder"
INDENT = " " * 4


def clean_up(stack: Stack) -> None:
    """Remove everything that the ladder created: containers, networks, volumes, images."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not interrupt this
    stack.compose("kill", check=False)
    stack.compose("down", "--volumes", "--remove-orphans", "--rmi", "all", "--timeout", "0")


@contextmanager
def project(keep: bool) -> Iterator[Stack]:
    """Yield the ladder's project; clean up afterwards, whatever happens, unless it is to be kept."""
    stack = rungs.ladder()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield stack
    finally:
        if not keep:
            clean_up(stack)


def climb(stack: Stack, rung: Rung) -> list[Answer]:
    """Start a rung, send its requests and print the answers; raise ``NotAnswered`` or ``StackError`` on failure."""
    print(f"\nRung {rung.number}  {rung.diagram}\n", flush=True)
    rungs.start(stack, rung)
    for service in rung.services:
        print(f"{INDENT}{service}: {rungs.command(stack, service)}")
    answers = rungs.ask(stack, rung)
    for answer in answers:
        print(f"{INDENT}{answer}")
    print(wrap("Added", rung.adds), flush=True)
    return answers


def write_docs(stack: Stack, made: dict[str, str]) -> None:
    """Generate all other blocks of ladder/README.md, and write the file."""
    for name, make in page.makers(stack).items():
        print(f"{INDENT}{name} …", flush=True)
        made[name] = make()
    page.PAGE.write_text(page.put(page.PAGE.read_text(), made))


def wrap(label: str, text: str) -> str:
    """Return a labelled sentence as an indented paragraph."""
    return textwrap.fill(
        f"{label}: {text}",
        width=100,
        initial_indent=INDENT,
        subsequent_indent=f"{INDENT}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def explain(stack: Stack, rung: Rung, problem: str) -> str:
    """Return, for a rung that failed, its last output, the step that it added, and where to look."""
    lines = []
    for service in dict.fromkeys(["init", *rung.services]):
        if words := last_words(stack, service):
            lines += [wrap(f"{service} said", words)]
    if words := doctor(stack, rung):
        lines += [wrap("The doctor says", words)]
    lines += [
        "",
        f"{PROGRAM}: rung {rung.number} does not answer as it should: {problem}",
        wrap("What was added there", rung.adds),
        wrap("Where to look", rung.look),
    ]
    return "\n".join(lines)


def last_words(stack: Stack, service: str) -> str:
    """Return the last error in a service's log, or its last line if the service failed."""
    try:
        log = stack.logs(service).splitlines()
        failed = stack.container(service).attrs["State"]["ExitCode"] != 0
    except StackError:
        return ""  # it was never started
    trouble = log if failed else [line for line in log if re.search("error|emerg|failed", line)]
    return trouble[-1] if trouble else ""


def doctor(stack: Stack, rung: Rung) -> str:
    """Return the doctor's first finding on a rung with nginx and uWSGI; "" if there is none."""
    *_, app, nginx = ["", *rung.services]
    if not (app and "nginx" in nginx):
        return ""
    hops = HOPS if rung.services[-1] == "nginx" else ("nginx", "socket")
    try:
        for site in sites(stack, nginx, app):
            for finding in diagnose(site, hops):
                if finding.verdict is Verdict.BROKEN:
                    return f"{finding.summary} To do: {finding.fix}"
    except StackError:
        pass  # the logs above must be enough
    return ""


def arguments() -> argparse.Namespace:
    """Return the parsed options; ``scripts/ladder`` has already refused unknown ones."""
    parser = argparse.ArgumentParser(prog="scripts/ladder")
    parser.add_argument("--rung", type=int, choices=range(1, 9))
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Run the command; return its exit status."""
    options = arguments()
    made: dict[str, str] = {}
    try:
        with project(options.keep) as stack:
            for rung in rungs.rungs(stack):
                if options.rung not in (None, rung.number):
                    continue
                try:
                    answers = climb(stack, rung)
                    made[f"rung-{rung.number}"] = page.story(stack, rung, answers)
                except (NotAnswered, StackError) as error:
                    # The last line of Compose's output says why.
                    problem = str(error).splitlines()[-1]
                    print(explain(stack, rung, problem), file=sys.stderr)
                    return 1
            if options.write_docs:
                print("\nWriting ladder/README.md:\n")
                write_docs(stack, made)
    except KeyboardInterrupt:
        return 130  # as in a shell: 128 + SIGINT
    except (StackError, docker.errors.DockerException) as error:
        print(f"\n{PROGRAM}: {error}", file=sys.stderr)
        return 1
    what = f"Rung {options.rung} answered" if options.rung else "All rungs answered"
    where = " They stay up until: scripts/ladder --down" if options.keep else ""
    print(f"\n{what}.{where}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
