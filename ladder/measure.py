"""
The measurements for README.md: uWSGI alone compared with nginx in front, and TCP with Unix sockets.
Both of a pair are measured in the same run, since only their ratio is meaningful.
"""

import http.client
import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event

from whichhop.target.stack import Stack, StackError, run_once

from ladder import rungs, sockets
from ladder.table import table

BIG = 64 * 2**20  # size of the big file, in bytes
SLOW = 5  # seconds for which a slow client stays connected
PAIRS = 1000  # requests over TCP and over the Unix socket, alternating

# The first column of each table.
WHY_NGINX = (
    "a page, nobody else there",
    f"a page, while somebody sends a form slowly (for {SLOW} s)",
    f"a page, while somebody reads a big file slowly (for {SLOW} s)",
    f"a file of {BIG // 2**20} MB",
    "a style sheet of the admin",
)
SOCKETS = ("hello.py, asked at its socket", "Django behind nginx: rungs 5 and 6")

# uWSGI can serve files, too: with this option, rung 2 serves uploads as nginx does.
ALONE = "uwsgi --http :8000 --module mysite.wsgi --static-map /media=/srv/media/public"

# Opens a slow client at a port; yields a function that sends a little more, if there is more to send.
Slow = Callable[[int], AbstractContextManager[Callable[[], None]]]


@contextmanager
def _alone(stack: Stack) -> Iterator[int]:
    """Yield the port of a rung 2 that also serves files."""
    name = stack.compose(
        "run", "--rm", "--detach", "--no-deps", "--publish", "127.0.0.1::8000",
        "rung2-uwsgi", *ALONE.split(),
    ).stdout.strip()  # fmt: skip
    container = stack.engine.containers.get(name)
    try:
        container.reload()
        published = container.attrs["NetworkSettings"]["Ports"]["8000/tcp"]
        port = int(published[0]["HostPort"])
        stack.wait(
            "rung 2 answers", lambda: rungs.get(port, "/livez").status == 200, 20, "rung5-nginx"
        )
        yield port
    finally:
        container.kill()


def _seconds(ask: Callable[[int], None], port: int, times: int = 1) -> float:
    """Return the median time of an action at a port, in seconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        ask(port)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _page(port: int) -> None:
    """Request a small Django page; raise ``StackError`` if that fails."""
    answer = rungs.get(port, "/livez", timeout=60)
    if answer.status != 200:
        raise StackError(f"port {port}: {answer}")


def _file(port: int) -> None:
    """Fetch the big file; raise ``StackError`` if it is incomplete."""
    answer = rungs.get(port, "/media/big", timeout=60)
    if len(answer.body) != BIG:
        raise StackError(f"port {port}: {answer}")


@contextmanager
def _slow_upload(port: int) -> Iterator[Callable[[], None]]:
    """Begin to send Django a form that never ends; yield a function that sends a little more of it."""
    login = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    login.request("GET", "/admin/login/", headers={"Host": f"localhost:{port}"})
    token = re.findall("csrftoken=([^;]+)", str(login.getresponse().getheader("Set-Cookie")))[0]
    login.close()
    upload = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    upload.putrequest("POST", "/admin/login/", skip_host=True)
    for name, value in {
        "Host": f"localhost:{port}",
        "Cookie": f"csrftoken={token}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": "1000000",
    }.items():
        upload.putheader(name, value)
    upload.endheaders()
    upload.send(b"username=")
    yield lambda: upload.send(b"x")
    upload.close()


@contextmanager
def _slow_download(port: int) -> Iterator[Callable[[], None]]:
    """Request the big file, and read only its first bytes."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.request("GET", "/media/big", headers={"Host": f"localhost:{port}"})
    client.getresponse().read(1)
    yield lambda: None
    client.close()


def _beside(slow: Slow, port: int) -> float:
    """Return the seconds that a page takes while a slow client stays connected for ``SLOW`` seconds."""
    done, begun = Event(), Event()

    def hold() -> None:
        with slow(port) as more:
            end = time.monotonic() + SLOW
            time.sleep(0.5)  # until the worker has the request, if it gets it
            begun.set()
            while time.monotonic() < end and not done.wait(0.2):
                more()

    with ThreadPoolExecutor(1) as pool:
        client = pool.submit(hold)
        begun.wait(30)
        try:
            return _seconds(_page, port)
        finally:
            done.set()
            client.result()


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def why_nginx(stack: Stack) -> str:
    """Return a table of how rungs 2 and 5 handle slow clients and files."""
    big = f"import os; f = open('/srv/media/public/big', 'wb'); os.truncate(f.fileno(), {BIG})"
    stack.run("rung5-uwsgi", "python3", "-c", big)
    behind = rungs.rungs(stack)[4].port
    with _alone(stack) as alone:
        both = (alone, behind)
        idle = [_seconds(_page, port, 50) for port in both]
        upload = [_beside(_slow_upload, port) for port in both]
        download = [_beside(_slow_download, port) for port in both]
        whole = [_seconds(_file, port, 5) for port in both]
    style = "/static/admin/css/base.css"
    served = [rungs.get(port, style).status for port in (rungs.rungs(stack)[1].port, behind)]
    times = [[*map(_milliseconds, pair)] for pair in (idle, upload, download, whole)]
    rows = [
        [label, *pair] for label, pair in zip(WHY_NGINX, [*times, [*map(str, served)]], strict=True)
    ]
    return table(("", "uWSGI alone (rung 2)", "behind nginx (rung 5)"), rows)


def tcp_and_unix(stack: Stack) -> str:
    """Return a table of how long requests take over TCP and over a Unix socket."""
    output = run_once(
        f"{stack.project}-rung-uwsgi", ["python3", "-c", Path(sockets.__file__).read_text()], {}
    )
    if output.code:
        raise StackError(f"the sockets could not be measured: {output.err}")
    bare = [float(number) for number in output.out.split()]
    ports = [rung.port for rung in rungs.rungs(stack)[4:6]]
    pairs = [[_seconds(_page, port) for port in ports] for _ in range(PAIRS)]
    whole = [statistics.median(column) * 1e6 for column in zip(*pairs, strict=True)]
    rows = [
        [label, f"{tcp:.0f} µs", f"{unix:.0f} µs", f"{tcp / unix:.2f}"]
        for label, (tcp, unix) in zip(SOCKETS, (bare, whole), strict=True)
    ]
    return table(("one request, median", "TCP", "Unix", "TCP : Unix"), rows)
