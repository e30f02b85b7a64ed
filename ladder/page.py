"""
Generate the parts of ladder/README.md that come from running the ladder.

The text is written by hand; the blocks between ``<!-- made: NAME -->`` and ``<!-- end -->`` are written by
``scripts/ladder --write-docs``.
"""

import re
from collections.abc import Callable
from pathlib import Path

from whichhop.target.stack import Stack

from ladder import ini, measure, packet, rungs, signals, trap
from ladder.rungs import Answer, Rung
from ladder.table import table

PAGE = Path("ladder/README.md")


def story(stack: Stack, rung: Rung, answers: list[Answer]) -> str:
    """Return the section of one rung: the picture, what runs, what it answered, what it adds."""
    commands = [f"{service}: {rungs.command(stack, service)}" for service in rung.services]
    shown = "\n".join([rung.diagram, "", *commands, "", *map(str, answers)])
    return f"```text\n{shown}\n```\n\n**Added:** {rung.adds}"


def identities(stack: Stack) -> str:
    """Return a table of the owners and modes between nginx and uWSGI on rung 8."""
    places = {"the directory": "/run/uwsgi", "the socket in it": "/run/uwsgi/mysite.sock"}
    rows = []
    for words, place in places.items():
        mode, *owner = stack.run("app", "stat", "--format=%a %u %g", place).split()
        rows.append([f"{words}, `{place}`", *owner, mode])
    for words, service in {"uWSGI's processes": "app", "nginx's processes": "nginx"}.items():
        [identity] = {
            str(process.identity) for process in stack.processes(service) if process.identity.uid
        }
        rows.append([words, *identity.split(":"), ""])
    return table(("what", "uid", "gid", "mode"), rows)


def makers(stack: Stack) -> dict[str, Callable[[], str]]:
    """Return the function that makes each block, by name, except those of the rungs. All rungs must be up."""
    sixth = rungs.rungs(stack)[5]
    return {
        "packet": lambda: packet.block(stack, sixth),
        "why-nginx": lambda: measure.why_nginx(stack),
        "tcp-and-unix": lambda: measure.tcp_and_unix(stack),
        "permissions": lambda: trap.block(stack, sixth),
        "identities": lambda: identities(stack),
        "signals": lambda: signals.try_all(stack),
        "process-one": lambda: signals.as_process_one(stack),
        "ini": ini.block,
    }


def blocks(text: str) -> dict[str, str]:
    """Return the text between the markers of a page, by name."""
    return {
        match[1]: match[2].strip("\n")
        for match in re.finditer(r"<!-- made: ([a-z0-9-]+) -->\n(.*?)<!-- end -->", text, re.S)
    }


def put(text: str, made: dict[str, str]) -> str:
    """Return a page with its blocks replaced; raise ``KeyError`` if it has one that is not in ``made``."""
    return re.sub(
        r"(<!-- made: ([a-z0-9-]+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{made[match[2]]}\n\n{match[3]}",
        text,
        flags=re.S,
    )
