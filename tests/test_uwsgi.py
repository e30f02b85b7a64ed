"""Hop `uwsgi`: it speaks the protocol over the socket, and answers nothing but requests and pings."""

import contextlib
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.polling import poll
from tests.support.stack import Stack, StackError

SOCKET = "/run/uwsgi/mysite.sock"


def ask(
    stack: Stack, variables: dict[str, str], *arguments: object
) -> tuple[int, dict[str, str], str]:
    """Send a request straight over the socket, for a host that the stack answers."""
    host = {"HTTP_HOST": f"localhost:{stack.variables['SITE_PORT']}"}
    answer: Any = stack.uwsgi("request", SOCKET, {**host, **variables}, *arguments)
    return answer[0], dict(answer[1]), answer[2]


def test_it_answers_a_ping(stack: Stack) -> None:
    assert stack.uwsgi("ping", SOCKET) is True


def test_it_answers_a_request_without_nginx(stack: Stack) -> None:
    status, headers, body = ask(stack, {"HTTP_X_REQUEST_ID": "straight-over-the-socket"})
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "straight-over-the-socket" in body


def test_readiness_says_what_it_looked_at(stack: Stack) -> None:
    status, _, body = ask(stack, {"PATH_INFO": "/readyz", "REQUEST_URI": "/readyz"})
    assert status == 200
    looked_at = ("settings", "database", "migrations", "data", "media")
    assert json.loads(body) == dict.fromkeys(looked_at, "ok")


def test_nothing_listens_on_tcp_in_the_app_container(stack: Stack) -> None:
    # Columns of proc_net(5); state 0A is LISTEN.
    lines = stack.run("app", "cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    assert [line for line in lines if line.split()[3] == "0A"] == []
    interfaces = stack.run("app", "ls", "/sys/class/net").split()
    assert interfaces == ["lo"]


def test_the_processes_are_one_master_and_its_workers(stack: Stack) -> None:
    """As the kernel has it: the master is a child of log-relay, its children are the workers, one user."""
    show = "for p in /proc/[0-9]*; do echo $(grep -hE '^(Name|Pid|PPid|Uid|Gid):' $p/status); done"
    processes = re.findall(
        r"Name: (\S+) Pid: (\d+) PPid: (\d+) Uid: (\d+) .*?Gid: (\d+)",
        stack.run("app", "bash", "-c", show),
    )
    first = [name for name, pid, *_ in processes if pid == "1"]
    uwsgi = [process for process in processes if process[0] in ("uwsgi", "python3", "pyuwsgi")]
    masters = [pid for _, pid, parent, _, _ in uwsgi if parent == "1"]
    assert (first, len(masters)) == (["log-relay"], 1)
    assert sorted(parent for _, _, parent, _, _ in uwsgi) == sorted(["1", *masters * 4])
    assert {(user, group) for *_, user, group in uwsgi} == {("10001", "10100")}


@pytest.mark.expect_log("unavailable modifier requested|modifier")
@pytest.mark.parametrize("modifier", [1, 5, 17, 110, 111, 173, 255])
def test_other_packets_are_refused(stack: Stack, modifier: int) -> None:
    """Remote procedure calls, signals, the cache, other languages: only 0 and 100 are answered."""
    source = (
        "import socket,struct,sys;s=socket.socket(socket.AF_UNIX);s.settimeout(3);"
        f"s.connect({SOCKET!r});s.sendall(struct.pack('<BHB',{modifier},0,0));print(s.recv(99))"
    )
    assert stack.run("app", "python3", "-c", source) == "b''\n"


@pytest.mark.expect_log("maximum apps|max_apps|ERROR: you cannot load more")
def test_nobody_can_load_code_over_the_socket(stack: Stack) -> None:
    """UWSGI_FILE makes a stock uWSGI run any file, or with exec:// any command, as the app."""
    proof = "/tmp/pwned"
    variables = {"UWSGI_FILE": f"exec://touch {proof}", "UWSGI_APPID": "x", "SCRIPT_NAME": "/x"}
    with contextlib.suppress(StackError):
        ask(stack, variables)
    assert stack.exec("app", "test", "-e", proof).code == 1


def test_a_body_nobody_reads_does_not_break_the_answer(stack: Stack) -> None:
    """Without post-buffering uWSGI hangs up on the rest of the body: a reset, and now and then 502."""
    before = time.time()
    for size in (1_000, 100_000, 5_000_000, 5_000_000, 5_000_000):
        assert requests.post(stack.url, data=b"x" * size, timeout=10).status_code == 403
    assert "Connection reset" not in stack.logs("nginx", since=before)


def test_headers_that_nginx_accepts_do_not_break_uwsgi(stack: Stack) -> None:
    headers = {f"X-Filler-{number}": "x" * 30 for number in range(90)}
    headers["Cookie"] = "fat=" + "x" * 7_000
    assert requests.get(stack.url, headers=headers, timeout=5).status_code == 200


def test_a_new_server_takes_the_socket_over_without_a_gap(stack: Stack) -> None:
    """SIGHUP reloads the workers in place; the public name stays, requests go on."""
    before = stack.container("app").attrs["State"]["Pid"]
    stack.run("app", "python3", "-c", "import os,signal; os.kill(1, signal.SIGHUP)")

    def reloaded() -> bool:
        assert requests.get(stack.url, timeout=60).status_code == 200
        return "gracefully (RE)spawned uWSGI master" in stack.logs("app")

    poll("the workers are new", reloaded, 60, lambda: stack.container("app"))
    assert requests.get(stack.url, timeout=60).status_code == 200
    assert stack.container("app").attrs["State"]["Pid"] == before


@pytest.mark.expect_log('"status":504')
def test_workers_that_paused_for_a_reload_go_on_without_one(
    new_stack: Callable[..., Stack],
) -> None:
    """Somebody may end scripts/reload just there."""
    stack = new_stack(SITE_REQUEST_TIMEOUT="1")

    def status() -> int:
        return requests.get(stack.url, timeout=5).status_code

    stack.run("app", "stack", "pause")
    assert status() == 504
    stack.wait("the workers go on", lambda: status() == 200, 30, "app")
