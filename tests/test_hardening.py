"""What every container may do: asserted from the running ones, not from the files that ask for it."""

import re
from typing import Any

import pytest

from tests.support.stack import Stack

SERVICES = ["init", "app", "nginx-config", "nginx"]
USERS = {
    "init": "10001:10100",
    "app": "10001:10100",
    "nginx-config": "10002:10100",
    "nginx": "10002:10100",
}


def inspect(stack: Stack, service: str) -> dict[str, Any]:
    return stack.container(service).attrs


@pytest.mark.parametrize("service", SERVICES)
def test_each_container_may_do_as_little_as_it_can_live_with(stack: Stack, service: str) -> None:
    attributes = inspect(stack, service)
    host = attributes["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] is None
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert not host["Privileged"]
    assert 0 < host["PidsLimit"] <= 128
    assert 0 < host["Memory"] <= 2**30
    assert host["LogConfig"]["Type"] == "json-file"
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
    assert attributes["Config"]["User"] == USERS[service]


@pytest.mark.parametrize("service", ["app", "nginx"])
def test_no_process_is_root_or_has_a_capability(stack: Stack, service: str) -> None:
    status = stack.run(service, "bash", "-c", "cat /proc/[0-9]*/status")
    assert {line.split()[1] for line in re.findall(r"^Uid:.*", status, re.M)} == {
        {"app": "10001", "nginx": "10002"}[service]
    }
    assert {line.split()[1] for line in re.findall(r"^CapEff:.*", status, re.M)} == {"0" * 16}
    assert {line.split()[1] for line in re.findall(r"^NoNewPrivs:.*", status, re.M)} == {"1"}
    assert {line.split()[1] for line in re.findall(r"^Seccomp:.*", status, re.M)} == {"2"}


@pytest.mark.parametrize(
    ("service", "network"), [("init", "none"), ("app", "none"), ("nginx", "{project}_default")]
)
def test_only_nginx_has_a_network(stack: Stack, service: str, network: str) -> None:
    mode = inspect(stack, service)["HostConfig"]["NetworkMode"]
    assert mode == network.format(project=stack.project)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("init", {"data": "rw", "media": "rw", "static": "rw"}),
        ("app", {"data": "rw", "media": "rw", "socket": "rw"}),
        ("nginx-config", {"nginx-config": "rw"}),
        (
            "nginx",
            {
                "media": "ro",
                "nginx-config": "ro",
                "nginx-temp": "rw",
                "socket": "ro",
                "static": "ro",
            },
        ),
    ],
)
def test_each_container_sees_its_volumes_only(
    stack: Stack, service: str, expected: dict[str, str]
) -> None:
    mounts = {
        mount["Name"].removeprefix(f"{stack.project}_"): "rw" if mount["RW"] else "ro"
        for mount in inspect(stack, service)["Mounts"]
    }
    assert mounts == expected


@pytest.mark.parametrize(
    ("service", "code"), [("app", "/app /venv /uwsgi /collected"), ("nginx", "/usr/local")]
)
def test_the_code_is_not_the_users_to_change(stack: Stack, service: str, code: str) -> None:
    """Read-only twice: by the owner and mode of each file, and by the container's file system."""
    theirs = ["(", "-not", "-user", "root", "-o", "-perm", "/022", ")", "-not", "-type", "l"]
    assert stack.run(service, "find", *code.split(), *theirs) == ""
    assert "Read-only file system" in stack.exec(service, "touch", "/x", user="0").err


def test_nginx_cannot_change_its_own_configuration(stack: Stack) -> None:
    """Though the files are its user's: the job that writes them has to read the certificate's key."""
    assert "Read-only file system" in stack.exec("nginx", "touch", "/etc/nginx/nginx.conf").err


@pytest.mark.parametrize("service", ["app", "nginx"])
def test_the_image_has_nothing_to_build_or_fetch_with(stack: Stack, service: str) -> None:
    for tool in ("gcc", "cc", "make", "pip", "pip3", "uv", "curl", "wget", "git"):
        assert stack.exec(service, "bash", "-c", f"command -v {tool}").code == 1, tool
    caches = ["/var/lib/apt/lists", "/var/cache/apt", "/root", "/tmp", "/var/tmp", "/build"]
    leftovers = stack.exec(service, "find", *caches, "-type", "f", "-size", "+8k", user="0").out
    assert leftovers == ""


@pytest.mark.parametrize("service", ["app", "nginx"])
def test_no_program_runs_as_its_owner(stack: Stack, service: str) -> None:
    find = ["find", "/", "-xdev", "-type", "f", "-perm", "/6000"]
    assert stack.exec(service, *find, user="0").out == ""


def test_the_build_leaves_no_certificate_of_this_machine_in_an_image(stack: Stack) -> None:
    for service in ("app", "nginx"):
        assert stack.exec(service, "ls", "/run/secrets").code != 0
