"""Try what each signal does to uWSGI, and make a table of it."""

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from docker.models.containers import Container
from whichhop.target.stack import Stack, StackError, run_once

from ladder import machine, rungs
from ladder.rungs import Rung
from ladder.table import table

HOOK = ["--hook-master-start", "unix_signal:15 gracefully_kill_them_all"]


class Case(NamedTuple):
    """One case: what is done, in words, and as arguments of ``ladder.machine``."""

    words: str
    kind: str  # who gets the signal: "master", "worker" or "all"; or "fifo"
    what: str  # the signal, or the letter
    options: list[str]


CASES = [
    Case("`kill -TERM`", "master", "SIGTERM", []),
    Case("`kill -TERM`, with `die-on-term`", "master", "SIGTERM", ["--die-on-term"]),
    Case("`kill -TERM`, with the hook of `uwsgi/mysite.ini`", "master", "SIGTERM", HOOK),
    Case("`kill -HUP` (`uwsgi --reload`)", "master", "SIGHUP", []),
    Case("`kill -INT` (`uwsgi --stop`, Ctrl-C)", "master", "SIGINT", []),
    Case("`kill -QUIT`", "master", "SIGQUIT", []),
    Case("`kill -USR1` (writes statistics to the log)", "master", "SIGUSR1", []),
    Case("`kill -USR2`", "master", "SIGUSR2", []),
    Case("`kill -USR2` of a worker (writes to the log what it does)", "worker", "SIGUSR2", []),
    Case("`kill -TSTP` (pause; once more: go on)", "master", "SIGTSTP", []),
    Case("`kill -URG`", "master", "SIGURG", []),
    Case("`kill -9` of the master", "master", "SIGKILL", []),
    Case("`kill -9` of the master, with `no-orphans`", "master", "SIGKILL", ["--no-orphans"]),
    Case("`kill -9` of a worker", "worker", "SIGKILL", []),
    Case("`killall -9 uwsgi`", "all", "SIGKILL", []),
    Case("`r` into the master FIFO (graceful reload)", "fifo", "r", []),
    Case("`R` (reload at once)", "fifo", "R", []),
    Case("`c` (workers anew, one after the other)", "fifo", "c", []),
    Case("`w` (workers anew)", "fifo", "w", []),
    Case("`q` (graceful stop)", "fifo", "q", []),
    Case("`Q` (stop at once)", "fifo", "Q", []),
    Case("`p` (pause; once more: go on)", "fifo", "p", []),
]
HEAD = ("what is done", "2 in flight", "2 waiting", "uWSGI", "its socket file", "a new request")

INSIDE = "import os, signal, sys; [os.kill(int(p), signal.{}) for p in sys.argv[1:]]"


def try_all(stack: Stack) -> str:
    """Return a table of the results of all cases; raise ``StackError`` if one could not be tried."""
    source = Path(machine.__file__).read_text()
    cases = json.dumps([case[1:] for case in CASES])
    output = run_once(f"{stack.project}-app", ["python3", "-c", source, cases], {})
    if output.code:
        raise StackError(f"the signals could not be tried: {output.err}")
    results = zip(CASES, json.loads(output.out), strict=True)
    return table(HEAD, [[case.words, *result] for case, result in results])


def _workers(stack: Stack, service: str) -> list[str]:
    return stack.run(service, "cat", "/proc/1/task/1/children").split()


def _inside(stack: Stack, name: str, *pids: str) -> str:
    """Send a signal to processes of rung 7 from inside its container; return what happened."""
    service = "rung7-uwsgi"
    before = _workers(stack, service)
    stack.run(service, "python3", "-c", INSIDE.format(name), *(pids or ("1", *before)))
    if pids:
        time.sleep(1)  # nothing is expected to happen, so there is nothing to wait for
    else:
        stack.wait(
            "two other workers",
            lambda: len({*_workers(stack, service)} - {*before}) == 2,
            10,
            service,
        )
    same = _workers(stack, service) == before
    return "nothing" if same else "the master goes on, with two new workers"


def _comes_back(stack: Stack, top: Rung, end: Callable[[Container], object]) -> str:
    """Kill the app of rung 8; return its exit status, and whether the engine restarts it."""
    container = stack.container("app")
    started = container.attrs["State"]["StartedAt"]
    end(container)

    def ended() -> dict[str, Any] | None:
        state: dict[str, Any] = stack.container("app").attrs["State"]
        return state if not state["Running"] or state["StartedAt"] != started else None

    def answers() -> bool:
        return rungs.get(top.port, "/livez").status == HTTPStatus.OK

    stack.wait("the app ends", ended, 20)
    try:
        stack.wait("it comes back", answers, 5)
    except StackError:
        words = f"ends, exit status {stack.container('app').attrs['State']['ExitCode']}; stays away"
        container.start()
        stack.wait("it is back", answers, 20)
        return words
    return "ends; comes back"


def inside(stack: Stack) -> list[list[str]]:
    """Return what signals from inside a container do to its first process, on rung 7."""
    return [
        ["inside: `kill -9 1`", _inside(stack, "SIGKILL", "1")],
        ["inside: `kill -USR2 1`", _inside(stack, "SIGUSR2", "1")],
        ["inside: `killall -9 uwsgi`", _inside(stack, "SIGKILL")],
    ]


def as_process_one(stack: Stack) -> str:
    """Return a table of what signals do when uWSGI is the first process of a container."""
    top = rungs.rungs(stack)[7]
    stop = ["python3", "-c", INSIDE.format("SIGINT"), "1"]
    rows = [
        *inside(stack),
        ["inside: `kill -INT 1`", _comes_back(stack, top, lambda app: app.exec_run(stop))],
        ["outside: `docker kill`", _comes_back(stack, top, lambda app: app.kill())],
        ["outside: `docker stop`", _comes_back(stack, top, lambda app: app.stop())],
    ]
    return table(("what is done", "what comes of it"), rows)
