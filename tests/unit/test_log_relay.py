"""log/log-relay: no last word is lost, nobody is held up, and to the engine it is its command."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RELAY = Path(__file__).parents[2] / "log" / "log-relay"


@pytest.fixture
def relay() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts log-relay with a command; what it started ends with the test."""
    started = []

    def start(*command: str, **options: int) -> subprocess.Popen[bytes]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen([RELAY, *command], start_new_session=True, **options)  # type: ignore[call-overload]
        started.append(process)
        return process  # type: ignore[no-any-return]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def children(process: subprocess.Popen[bytes]) -> dict[int, str]:
    """Return the names of a process's children by their numbers."""
    place = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    names = {}
    for child in place.read_text().split():
        with contextlib.suppress(FileNotFoundError):
            names[int(child)] = Path(f"/proc/{child}/comm").read_text().strip()
    return names


def wait_until(true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


SCRIPT = "echo out; echo err >&2; exit 7"


def test_it_ends_as_its_command_did(relay: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = relay("sh", "-c", SCRIPT)
    assert process.communicate(timeout=10) == (b"out\n", b"err\n")
    assert process.returncode == 7
    killed = relay("sh", "-c", "kill -9 $$")
    assert killed.wait(10) == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("command", "status", "reason"),
    [("no-such-program", 127, "No such file or directory"), ("/etc", 126, "Permission denied")],
)
def test_a_command_that_cannot_be_run(
    relay: Callable[..., subprocess.Popen[bytes]], command: str, status: int, reason: str
) -> None:
    process = relay(command)
    assert process.communicate(timeout=10)[1].decode() == f"log-relay: {command}: {reason}\n"
    assert process.returncode == status


def test_no_last_word_is_lost(relay: Callable[..., subprocess.Popen[bytes]]) -> None:
    """However much it is, and however little time there is between it and the end."""
    writes = (
        "import os; os.write(1, b'x' * 99 + b'\\n'); os.write(2, b'last\\n' * 20_000); os._exit(3)"
    )
    for _ in range(10):
        process = relay("python3", "-c", writes)
        out, err = process.communicate(timeout=10)
        assert (len(out), len(err), process.returncode) == (100, 100_000, 3)


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "TSTP"])
def test_signals_reach_the_command(
    relay: Callable[..., subprocess.Popen[bytes]], name: str
) -> None:
    process = relay(
        "bash", "-c", f"trap 'echo {name}; exit 5' {name}; echo go; while :; do sleep 0.01; done"
    )
    assert process.stdout
    assert process.stdout.readline() == b"go\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert process.communicate(timeout=10)[0] == f"{name}\n".encode()
    assert process.returncode == 5


def test_a_signal_that_comes_at_once_is_not_missed(
    relay: Callable[..., subprocess.Popen[bytes]],
) -> None:
    for _ in range(20):
        process = relay("sleep", "60")
        wait_until(lambda: "sleep" in children(process).values())  # noqa: B023 (called at once)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


def test_a_relay_that_is_killed_is_replaced(relay: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = relay("bash", "-c", "while read -r line; do echo $line; done", stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    for number in range(5):
        wait_until(lambda: list(children(process).values()).count("log-relay") == 2)
        for child, name in children(process).items():
            if name == "log-relay":
                os.kill(child, signal.SIGKILL)
        process.stdin.write(b"%d\n" % number)
        process.stdin.flush()
        assert process.stdout.readline() == b"%d\n" % number
    process.stdin.close()
    process.stdin = None
    assert process.wait(10) == 0


def test_orphans_leave_no_zombies(relay: Callable[..., subprocess.Popen[bytes]]) -> None:
    """It adopts them as the first process of a container does: here, in a namespace of its own."""
    if os.geteuid():
        pytest.skip("a process namespace needs root")
    orphans = (
        "for i in 1 2 3 4 5; do (sleep 0.1 &); done; sleep 0.5; grep -h State: /proc/[0-9]*/status"
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", str(RELAY), "sh", "-c", orphans]
    states = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert states.count("State:") >= 4  # log-relay, its two relays, and the shell
    assert "Z (zombie)" not in states


def test_it_does_not_wait_for_those_who_stay_behind(
    relay: Callable[..., subprocess.Popen[bytes]],
) -> None:
    """Workers whose master was killed still have the pipe."""
    process = relay("sh", "-c", "sleep 60 & echo last")
    assert process.wait(2) == 0
    assert process.stdout
    assert process.stdout.readline() == b"last\n"


def test_nobody_reads(relay: Callable[..., subprocess.Popen[bytes]]) -> None:
    """The command goes on; what is lost is counted, each line that comes is whole, and the end comes soon."""
    lines = "import sys\nfor i in range(200_000): print(f'{{\"n\":{i}}}')\nprint('over', file=sys.stderr)"
    reader, writer = os.pipe()
    process = relay("python3", "-u", "-c", lines, stdout=writer)
    os.close(writer)
    assert process.stderr
    assert process.stderr.readline() == b"over\n"
    with os.fdopen(reader, "rb") as stream:
        received = [json.loads(line) for line in stream]
    numbers = [line["n"] for line in received if "n" in line]
    assert numbers == sorted(set(numbers))
    lost = [line["message"].split()[0] for line in received if "message" in line]
    assert 0 < sum(map(int, lost)) == 200_000 - len(numbers)
    assert process.wait(10) == 0


def test_nobody_will_ever_read(relay: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = relay("python3", "-c", "for i in range(100_000): print(i)\nraise SystemExit(4)")
    assert process.stdout
    process.stdout.close()
    process.stdout = None
    assert process.wait(20) == 4
