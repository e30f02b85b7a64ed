"""The library of scripts/deploy (scripts/lib/release): what it can tell without asking Docker."""

import copy
import signal
from collections.abc import Callable
from typing import Any

import pytest
from release import project, terminal

COMPLETED, HEALTHY = "service_completed_successfully", "service_healthy"


def service(**depends_on: str) -> dict[str, Any]:
    return {"depends_on": {name: {"condition": how} for name, how in depends_on.items()}}


SERVICES = {
    "app": service(init=COMPLETED),
    "certificate": service(init=COMPLETED),
    "database": {"depends_on": None},
    "init": service(database=HEALTHY),
    "nginx": service(app=HEALTHY, nginx_config=COMPLETED),
    "nginx_config": service(certificate=COMPLETED, init=COMPLETED),
    "report": {},
    "worker": service(database=HEALTHY, init=COMPLETED),
}


def test_jobs_are_what_others_wait_for_each_after_what_it_needs() -> None:
    assert project.jobs(SERVICES) == ["init", "certificate", "nginx_config"]


def test_what_jobs_need_comes_before_them() -> None:
    needed = project.depended_on(SERVICES, project.jobs(SERVICES))
    assert needed == ["database", "init", "certificate", "nginx_config"]


def test_a_service_that_is_not_defined_is_nobodys_job() -> None:
    services = {
        "app": service(gone=COMPLETED)
    }  # "required: false", in a profile that is not active
    assert project.jobs(services) == []


def test_an_image_says_by_which_command_it_is_asked() -> None:
    labels = {project.COMMAND_LABEL: "python3 -m stack"}
    assert project.command(labels, "pause") == ["python3", "-m", "stack", "pause"]


@pytest.mark.parametrize("labels", [None, {}, {"other": "label"}])
def test_an_image_of_20281f2_is_still_known(labels: dict[str, str] | None) -> None:
    assert project.command(labels, "pause") == ["python3", "/uwsgi/pause.py"]


# -- is a container well?

STARTED = "2026-11-29T23:47:31.479065387Z"


def inspected(status: str, health: str = "", policy: str = "always", code: int = 0) -> Any:
    state = {"Status": status, "StartedAt": STARTED, "ExitCode": code}
    if health:
        state["Health"] = {"Status": health, "Log": []}
    return {"State": state, "HostConfig": {"RestartPolicy": {"Name": policy}}}


@pytest.mark.parametrize(
    ("found", "seconds", "well"),
    [
        (inspected("running", "healthy"), 0, True),
        (inspected("running", "starting"), 60, False),
        (inspected("running", "unhealthy"), 60, False),
        (inspected("running"), 5, False),
        (inspected("running"), 6, True),
        (inspected("restarting"), 60, False),
        (inspected("created"), 60, False),
        (inspected("exited", policy="no"), 1, True),
        (inspected("exited", policy="no", code=1), 1, False),
        (inspected("exited"), 1, False),
    ],
)
def test_a_container_is_well(found: Any, seconds: int, well: bool) -> None:
    assert project.is_well(found, project.seconds_since_epoch(STARTED) + seconds) == well


# -- are two containers the same?

# The parts of "docker inspect" that count, as Compose 2.26.1 had them made.
ONE: dict[str, Any] = {
    "Id": "700552957a832c3a53611000c4983f17556c43d03bda1cac64ae9191ceb1d38a",
    "Image": "sha256:fccba5",
    "Config": {
        "Hostname": "700552957a83",
        "Env": ["SITE_PORT=8000", "SITE_CACHE=true"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "Labels": {"com.docker.compose.config-hash": "8f9d", "mine": "yes"},
    },
    "HostConfig": {
        "Binds": None,
        "Mounts": [{"Type": "volume", "Source": "mysite_media", "Target": "/srv/media"}],
        "CapAdd": ["KILL", "CHOWN"],
        "Dns": ["10.0.0.1", "10.0.0.2"],
        "Memory": 1073741824,
    },
    "Mounts": [
        {
            "Name": "mysite_media",
            "Source": "/var/lib/docker/volumes/mysite_media/_data",
            "Destination": "/srv/media",
            "RW": True,
            "Propagation": "",
        },
        {
            "Name": "ab" * 32,
            "Source": "/var/lib/docker/volumes/abab/_data",
            "Destination": "/var/cache",
            "RW": True,
            "Propagation": "",
        },
    ],
    "NetworkSettings": {"Networks": {"mysite_default": {}}},
}


def other(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    container = copy.deepcopy(ONE)
    change(container)
    return container


def made_by_another_compose(container: dict[str, Any]) -> None:
    """As 2.40.3 makes the same: another hash, no depends_on in it, and Binds in the place of Mounts."""
    container["Id"] = container["Id"][::-1]
    container["Config"]["Hostname"] = container["Id"][:12]
    container["Config"]["Env"].reverse()
    container["Config"]["Labels"] |= {"com.docker.compose.config-hash": "9379"}
    container["HostConfig"] |= {"Binds": ["mysite_media:/srv/media:rw"], "Mounts": None}
    container["HostConfig"]["CapAdd"].reverse()
    container["Mounts"].reverse()
    container["Mounts"][0]["Name"] = "cd" * 32


def test_containers_made_by_two_versions_of_compose_are_the_same() -> None:
    assert project.settings(ONE) == project.settings(other(made_by_another_compose))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(Image="sha256:other"),
        lambda c: c["Config"]["Env"].append("SITE_DEBUG=true"),
        lambda c: c["Config"]["Cmd"].reverse(),
        lambda c: c["Config"].update(Hostname="mine"),
        lambda c: c["Config"]["Labels"].update(mine="no"),
        lambda c: c["HostConfig"].update(Memory=1),
        lambda c: c["HostConfig"]["Dns"].reverse(),
        lambda c: c["Mounts"][0].update(Name="mysite_other"),
        lambda c: c["Mounts"][0].update(RW=False),
        lambda c: c["NetworkSettings"]["Networks"].update(mysite_more={}),
    ],
)
def test_containers_that_do_not_do_the_same_are_not_the_same(
    change: Callable[[dict[str, Any]], object],
) -> None:
    assert project.settings(ONE) != project.settings(other(change))


# -- how it speaks


def fail(error: BaseException) -> None:
    with terminal.step("Doing it", "it failed: {last}", of="job: "):
        raise error


def test_a_command_that_fails_is_shown_and_its_last_line_is_the_reason(
    capfd: pytest.CaptureFixture[str],
) -> None:
    lines = [f"line {number}" for number in range(20)]
    error = terminal.CommandFailed("\n".join([*lines, "job: no room", "goodbye"]))
    with pytest.raises(terminal.Failure, match=r"^it failed: job: no room$"):
        fail(error)
    shown = capfd.readouterr().err.splitlines()
    assert shown[0] == "  Doing it … FAILED"
    assert shown[1:] == [f"    | {line}" for line in [*lines[7:], "job: no room", "goodbye"]]


def test_a_command_that_says_nothing_is_no_riddle() -> None:
    assert terminal.CommandFailed("\n \n").last() == "it said nothing"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (terminal.Failure("there is no room."), "\nscripts/x: there is no room.\n"),
        (terminal.Interrupted(), "\nscripts/x: it was interrupted.\n"),
    ],
)
def test_a_script_ends_with_one_sentence(
    capfd: pytest.CaptureFixture[str], error: BaseException, said: str
) -> None:
    def work() -> None:
        raise error

    before = [signal.getsignal(number) for number in terminal.SIGNALS]
    try:
        assert terminal.script("scripts/x", work) == 1
    finally:
        for number, handler in zip(terminal.SIGNALS, before, strict=True):
            signal.signal(number, handler)
    assert capfd.readouterr().err == said
