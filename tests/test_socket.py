"""Hop `socket`: nginx, with its own identity, may connect; others may not, and nginx may only that."""

import pytest

from tests.support.stack import Stack

SOCKET = "/run/uwsgi/mysite.sock"
APP, NGINX, STRANGER = "10001:10100", "10002:10100", "10003:10003"

# perl-base is part of every Debian; nothing else in the nginx image can connect to a Unix socket.
CONNECT = f"use IO::Socket::UNIX; IO::Socket::UNIX->new(Peer => '{SOCKET}') or die $!"


def mode_and_owner(stack: Stack, path: str) -> str:
    return stack.run("app", "stat", "--format", "%F %a %u:%g", path).strip()


def test_the_socket_and_its_directory_have_exact_modes_and_owners(stack: Stack) -> None:
    assert mode_and_owner(stack, SOCKET) == f"socket 660 {APP}"
    assert mode_and_owner(stack, "/run/uwsgi") == f"directory 2750 {APP}"


def test_nothing_lives_beside_it_but_its_own_name(stack: Stack) -> None:
    """Two names of one socket: the public one may be another server's one day (stack/handover/promote.py)."""
    own = f"{str(stack.container('app').id)[:12]}.sock"
    names = stack.run("app", "ls", "--almost-all", "/run/uwsgi").split()
    assert names == [own, "mysite.sock"]
    inodes = {stack.run("app", "stat", "--format", "%i", f"/run/uwsgi/{name}") for name in names}
    assert len(inodes) == 1


def test_nginx_may_connect(stack: Stack) -> None:
    assert (
        stack.run("nginx", "id", "--user").strip()
        + ":"
        + stack.run("nginx", "id", "--group").strip()
        == NGINX
    )
    assert stack.exec("nginx", "perl", "-e", CONNECT).code == 0


def test_a_stranger_may_not_connect(stack: Stack) -> None:
    output = stack.exec("nginx", "perl", "-e", CONNECT, user=STRANGER)
    assert "Permission denied" in output.err


@pytest.mark.parametrize(
    "command", [["rm", SOCKET], ["mv", SOCKET, f"{SOCKET}.old"], ["touch", "/run/uwsgi/x"]]
)
def test_nginx_may_do_nothing_else_there(stack: Stack, command: list[str]) -> None:
    output = stack.exec("nginx", *command)
    assert "Read-only file system" in output.err


def test_both_ends_are_the_same_volume(stack: Stack) -> None:
    inode = {stack.run(end, "stat", "--format", "%i", SOCKET) for end in ("app", "nginx")}
    assert len(inode) == 1
