"""How nginx gets its configuration: as a whole, tested first, by a reload (nginx/configure.sh, entrypoint.sh)."""

import subprocess
from collections.abc import Callable

import pytest
import requests

from tests.support.configurations import change, wait_for_verdict
from tests.support.load import Load
from tests.support.stack import Stack


def configure(stack: Stack, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the job, with settings as options of ``docker compose run``; return what it did."""
    return stack.compose(
        "run", "--rm", "--no-deps", "--no-TTY", *options, "nginx-config", check=False
    )


def configurations(stack: Stack) -> tuple[str, set[str]]:
    """Return the name of the one that nginx has, and what else is on the volume."""
    names = set(stack.run("nginx", "ls", "/srv/nginx").split())
    current = stack.run("nginx", "readlink", "/srv/nginx/current").strip()
    return current, names - {"current", current}


def test_what_is_the_same_is_left_alone(stack: Stack) -> None:
    before = configurations(stack)
    assert configure(stack).returncode == 0
    assert configurations(stack) == before


def test_a_setting_reaches_nginx_and_nobody_notices(stack: Stack) -> None:
    """Back and forth while pages and files are asked for; nginx's container stays."""

    def takes_two_megabytes() -> bool:
        return requests.post(stack.url, data=b"x" * 2_000_000, timeout=10).status_code != 413

    container = stack.container("nginx").id
    assert takes_two_megabytes()
    visitor = requests.Session()
    visitor.headers["Connection"] = "close"  # as in tests/support/visitors.py
    with Load(stack, visitor, writers=0) as load:
        for megabytes, taken in (("1", False), ("75", True)):
            process = configure(stack, "--env", f"SITE_MAX_UPLOAD_MB={megabytes}")
            assert process.returncode == 0, process.stderr
            wait_for_verdict(stack, "loaded")
            stack.wait("the new limit", lambda taken=taken: takes_two_megabytes() == taken, 20)  # type: ignore[misc]
    assert load.failed() == []
    assert len(load.sent) > 20
    assert stack.container("nginx").id == container
    assert len(configurations(stack)[1]) <= 1, "more than the one before is kept"


def test_what_nginx_refuses_changes_nothing(stack: Stack) -> None:
    before = configurations(stack)
    process = configure(stack, "--env", "SITE_TRUSTED_PROXIES=everybody")
    assert process.returncode == 1
    *_, last = process.stderr.splitlines()
    assert "[emerg]" in last
    assert (
        'host not found in set_real_ip_from "everybody" in nginx/templates/settings.conf.template:'
        in last
    )
    assert configurations(stack) == before


def test_a_check_changes_nothing(stack: Stack) -> None:
    before = configurations(stack)
    check = ("--env", "CHECK_ONLY=yes", "--env", "SITE_MAX_UPLOAD_MB=2")
    assert configure(stack, *check).returncode == 0
    assert configurations(stack) == before


def test_what_a_killed_job_left_is_tidied_up(stack: Stack) -> None:
    change(stack, "mkdir half; cp /etc/nginx/nginx.conf half; ln -s half next")
    try:
        assert configure(stack, "--env", "SITE_MAX_UPLOAD_MB=3").returncode == 0
        wait_for_verdict(stack, "loaded")
        assert not configurations(stack)[1] & {"half", "next"}
    finally:
        assert configure(stack).returncode == 0
        wait_for_verdict(stack, "loaded")


@pytest.mark.expect_log(r'\[emerg\] .*unknown directive "bogus"')
def test_nginx_itself_refuses_too(stack: Stack) -> None:
    """As after a change by hand, or with another nginx than the one that the job asked."""
    before = configurations(stack)[0]
    change(stack, "cp -r current/. bad; echo 'bogus on;' >>bad/settings.conf; ln -sfT bad current")
    try:
        wait_for_verdict(stack, "refused")
        assert requests.get(stack.url, timeout=5).status_code == 200
        assert "goes on with the old" in stack.logs("nginx")
    finally:
        change(stack, f"ln -sfT {before} current; rm -r bad")
        wait_for_verdict(stack, "loaded")
    assert requests.get(stack.url, timeout=5).status_code == 200


def test_without_ipv6_nginx_listens_on_what_there_is(new_stack: Callable[..., Stack]) -> None:
    """Also with the lines for HTTPS and HTTP/3, which are on the volume but not in use here."""
    stack = new_stack(COMPOSE_FILE="compose.yaml:tests/ipv4/compose.yaml")
    assert stack.exec("nginx", "perl", "-MSocket", "-e", "socket(S, AF_INET6, 1, 0) or die").code
    assert requests.get(stack.url, timeout=5).status_code == 200
    left = stack.run("nginx", "grep", "-rh", r"^ *listen ", "/etc/nginx/", "--include=*.conf")
    assert "listen 8443 quic;" in left
    assert "[::]" not in left
