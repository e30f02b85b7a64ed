"""When a part is away the rest says so and goes on; when it is back, nobody has to do anything."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support.stack import Stack
from tests.support.workers import WORKERS

UNAVAILABLE = r'connect\(\) to unix:/run/uwsgi/mysite\.sock failed|"status":503|no live upstreams'


@pytest.mark.expect_log(UNAVAILABLE)
@pytest.mark.expect_log('"level": "ERROR", "logger": "stack.health"|DAMN')
def test_a_stack_in_trouble(new_stack: Callable[..., Stack]) -> None:
    """One stack through all of it, since starting one takes longer than each part."""
    stack = new_stack()
    static = f"{stack.url}/static/welcome/landing.css"
    nginx = stack.container("nginx").attrs["State"]["StartedAt"]

    def status(address: str = stack.url) -> int:
        return requests.get(address, timeout=5).status_code

    # Killed: a friendly page, and static files all the while.
    stack.compose("kill", "app")
    answer = requests.get(stack.url, timeout=5)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "Back in a moment" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert status(static) == 200
    entry = stack.log_entry("nginx", answer.headers["X-Request-ID"])
    assert (entry["status"], entry["upstream_status"]) == (503, "502")

    # Started: it comes back by itself, nginx untouched.
    stack.compose("start", "app")
    stack.wait("the page is back", lambda: status() == 200, 15)
    assert stack.container("nginx").attrs["State"]["StartedAt"] == nginx

    # Stopped: quickly when idle, with nothing to complain about.
    stack.compose("stop", "app", timeout=10)
    assert stack.container("app").attrs["State"]["ExitCode"] == 0
    assert status() == 503
    stack.compose("start", "app")
    stack.wait("the page is back", lambda: status() == 200, 15)

    # A worker that dies is replaced, and the container goes on.
    started = stack.container("app").attrs["State"]["StartedAt"]
    stack.run("app", "bash", "-c", f"kill -KILL {WORKERS}")
    assert [status() for _ in range(10)] == [200] * 10
    assert stack.container("app").attrs["State"]["StartedAt"] == started


@pytest.mark.expect_log(r'"status":50[24]|upstream timed out|prematurely closed|Connection reset')
def test_a_request_that_is_not_finished_says_so(new_stack: Callable[..., Stack]) -> None:
    """Not 503: somebody took the request, so it must not be sent again without a thought."""
    stack = new_stack(SITE_REQUEST_TIMEOUT="2")
    stack.run("app", "bash", "-c", f"kill -STOP {WORKERS}")

    slow = requests.get(stack.url, timeout=10)
    assert slow.status_code == 504
    assert "That took too long" in slow.text
    assert 2 <= slow.elapsed.total_seconds() < 4

    with ThreadPoolExecutor() as browser:
        waiting = browser.submit(requests.get, stack.url, timeout=10)
        stack.wait(
            "the request waits at the socket",
            lambda: re.search(
                r"\* +\d+ +\* +0 *$", stack.run("nginx", "ss", "--unix"), re.MULTILINE
            ),
            2,
        )
        stack.compose("kill", "app")
        cut_off = waiting.result()
    assert cut_off.status_code == 502
    assert "It was not finished" in cut_off.text
    assert "Retry-After" not in cut_off.headers


@pytest.mark.expect_log('"logger": "stack.health"|"logger": "django.request"')
@pytest.mark.parametrize(
    ("what", "break_it", "mend_it"),
    [
        (
            "not applied: welcome.0001_initial",
            "UPDATE django_migrations SET app = '-welcome' WHERE app = 'welcome'",
            "UPDATE django_migrations SET app = 'welcome' WHERE app = '-welcome'",
        ),
        ("Permission denied", "chmod 0550 /srv/media/tmp", "chmod 2750 /srv/media/tmp"),
        ("Permission denied", "chmod 0550 /srv/media/public", "chmod 2750 /srv/media/public"),
        (
            "unable to open database file",
            "chmod 0 /srv/data/db.sqlite3",
            "chmod 640 /srv/data/db.sqlite3",
        ),
        ("Permission denied", "chmod 0500 /srv/data", "chmod 0700 /srv/data"),
        (
            "nobody serves at /run/uwsgi/mysite.sock",
            "mv /run/uwsgi/mysite.sock /run/uwsgi/away",
            "mv /run/uwsgi/away /run/uwsgi/mysite.sock",
        ),
        (
            "timed out",
            f"kill -STOP {WORKERS}",
            f"kill -CONT {WORKERS}",
        ),
    ],
    ids=[
        "migration missing",
        "uploads cannot be begun",
        "uploads cannot be stored",
        "database not readable",
        "no room beside the database",
        "the public name is gone",
        "workers hang",
    ],
)
def test_the_health_check_of_the_app_can_fail(
    stack: Stack, what: str, break_it: str, mend_it: str
) -> None:
    def do(command: str) -> None:
        if command.startswith("UPDATE"):
            stack.run(
                "app",
                "python3",
                "-c",
                f"import sqlite3; c = sqlite3.connect('/srv/data/db.sqlite3'); c.execute({command!r}); c.commit()",
            )
        else:
            stack.run("app", "bash", "-c", command)

    check = stack.container("app").attrs["Config"]["Healthcheck"]["Test"][1:]
    assert stack.exec("app", *check).code == 0
    try:
        do(break_it)
        output = stack.exec("app", *check)
        assert output.code == 1
        assert what in output.out + output.err
    finally:
        do(mend_it)
    assert stack.exec("app", *check).code == 0


def test_the_health_check_of_nginx_can_fail(stack: Stack) -> None:
    check = ["timeout", "2", *stack.container("nginx").attrs["Config"]["Healthcheck"]["Test"][1:]]
    assert stack.exec("nginx", *check).out == "HTTP/1.1 204 No Content\r\n"
    try:
        stack.run("nginx", "bash", "-c", f"kill -STOP {WORKERS}")
        assert stack.exec("nginx", *check).code != 0
    finally:
        stack.run("nginx", "bash", "-c", f"kill -CONT {WORKERS}")
    assert stack.exec("nginx", *check).code == 0


def test_the_health_check_of_nginx_wants_its_own_answer(stack: Stack) -> None:
    """Where another server answers, with 200 even, nginx is not healthy. (No nginx in this one.)"""
    *_, check = stack.container("nginx").attrs["Config"]["Healthcheck"]["Test"]
    imposter = """
        python3 -m http.server --directory /collected --bind 127.0.0.1 8080 >/dev/null 2>&1 &
        until (exec 3<>/dev/tcp/127.0.0.1/8080) 2>/dev/null; do sleep 0.1; done
        bash -c "$1"; echo "status $?"; kill $!
    """
    output = stack.run("app", "timeout", "10", "bash", "-c", imposter, "bash", check)
    assert output == "HTTP/1.0 200 OK\r\nstatus 1\n"
