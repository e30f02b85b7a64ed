"""Messages and failures in one style: the counterpart of scripts/lib.sh for the scripts in Python."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failure(Exception):
    """What is wrong and what to do, in one sentence."""


class CommandFailed(Exception):
    """A command failed; ``output`` is everything that it printed."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output

    def last(self, pattern: str = "") -> str:
        """Return the last line of the output that matches ``pattern``, or the last line of all."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return ([line for line in lines if pattern in line] or lines or ["it said nothing"])[-1]


class Interrupted(BaseException):
    """The user pressed Ctrl-C or closed the terminal, or the script got SIGTERM."""


def say(text: str, end: str = "\n") -> None:
    """Print a line for the user; the terminal may be gone."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}{end}".encode())


def show(log: str, prefix: str = "    | ") -> None:
    """Print the output of a container or a command."""
    for line in log.splitlines():
        say(f"{prefix}{line}")


def script(name: str, work: Callable[[], None]) -> int:
    """Run a script's main function; return the exit status, after one sentence that says why if it is not 0."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        work()
    except (Failure, CommandFailed, Interrupted) as end:
        say(f"\n{name}: {reason_for(end)}")
        return 1
    return 0


def reason_for(end: BaseException) -> str:
    """Return why a script ended, in one sentence."""
    if isinstance(end, Interrupted):
        return "it was interrupted."
    return end.last() if isinstance(end, CommandFailed) else str(end)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    ignore_signals()
    raise Interrupted


def ignore_signals() -> None:
    """Ignore interruptions from here on, in this script and in the commands that it starts."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def heed_signals() -> None:
    """Let signals interrupt this script again."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)


@contextlib.contextmanager
def step(text: str, otherwise: str, of: str = "") -> Iterator[None]:
    """
    Print what is being done, and how long it took.

    If a command in the block fails, print its last lines and raise ``Failure`` with the sentence ``otherwise``,
    in which ``{last}`` is the last line of its output that matches ``of``.
    """
    started = time.monotonic()
    say(f"  {text} … ", end="")
    try:
        yield
    except CommandFailed as error:
        say("FAILED")
        show("\n".join(error.output.splitlines()[-15:]))
        raise Failure(otherwise.replace("{last}", error.last(of))) from None
    say(f"done ({time.monotonic() - started:.0f} s)")


def run(*command: str) -> str:
    """Run a command and return its stdout and stderr; raise ``CommandFailed`` if it fails."""
    return _run(command, stderr=subprocess.STDOUT)


def ask(*command: str) -> str:
    """Run a command and return its stdout, stripped; raise ``CommandFailed`` if it fails."""
    return _run(command, stderr=subprocess.PIPE).strip()


def _run(command: tuple[str, ...], stderr: int) -> str:
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
    ) as process:
        try:
            out, err = process.communicate()
        except Interrupted:
            process.communicate()  # wait for a running job rather than abandon it
            raise
    if process.returncode:
        raise CommandFailed(f"{out}{err or ''}")
    return out


def watch_run(*command: str) -> int:
    """Run a command whose output goes to the terminal; return its exit status."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            return process.wait()
        except Interrupted:
            process.wait()
            raise


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Poll until a condition is true; on timeout, raise ``CommandFailed`` with ``otherwise`` as its output."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise CommandFailed(otherwise)
        time.sleep(0.2)
