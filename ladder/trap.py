"""Why nginx may be denied: the permission trap of the Unix socket, reproduced on rung 6."""

from whichhop.diagnosis import diagnose
from whichhop.target.discovery import sites
from whichhop.target.stack import Stack, StackError

from ladder import rungs
from ladder.rungs import Rung
from ladder.table import table

SOCKET = "/run/uwsgi/mysite.sock"
NGINX, APP = "rung6-nginx", "rung6-uwsgi"

# What is wrong, how to cause it, and how to undo it.
TRAPS = [
    ("the socket's mode is 0644", f"chmod 644 {SOCKET}", f"chmod 664 {SOCKET}"),
    ("the socket has another group", f"chgrp nogroup {SOCKET}", f"chgrp site {SOCKET}"),
    ("its directory is private", "chmod 700 /run/uwsgi", "chmod 2750 /run/uwsgi"),
]


def _as_root(stack: Stack, command: str) -> None:
    output = stack.exec(APP, *command.split(), user="0", privileged=True)
    if output.code:
        raise StackError(f"{command}: {output.err}")


def block(stack: Stack, rung: Rung) -> str:
    """Set each trap; return as text what a visitor sees and what nginx's log and the doctor say."""
    parts = []
    for words, spoil, mend in TRAPS:
        _as_root(stack, spoil)
        try:
            answer = rungs.get(rung.port)
            log = [line for line in stack.logs(NGINX).splitlines() if "connect() to unix" in line]
            [site] = sites(stack, NGINX, APP)
            [finding] = diagnose(site, ["socket"])
        finally:
            _as_root(stack, mend)
        if rungs.get(rung.port).status != 200:
            raise StackError(f"rung {rung.number} is not well again after: {mend}")
        said = log[-1].partition("connect()")[2].partition(",")[0]
        parts.append(
            f"**{words[0].upper()}{words[1:]}** (`{spoil}`)\n\n"
            + table(
                ("who", "says"),
                [
                    ["a visitor's browser", f"{answer.status}, from {answer.server}"],
                    ["nginx's log", f"`connect(){said}`"],
                    ["the doctor", finding.summary],
                    ["… to do", finding.fix],
                ],
            )
        )
    return "\n\n".join(parts)
