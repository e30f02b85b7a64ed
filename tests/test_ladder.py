"""The tutorial's ladder: every rung answers, a broken one is named, and nothing is left behind."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from ladder import ini, measure, packet, page, rungs, signals, trap
from tests.conftest import ROOT, image_names
from tests.support.stack import PROJECT_LABEL, Stack

NUMBERS = range(1, 9)


class Ladder:
    """The ladder of one clone, under a name and on ports of its own."""

    def __init__(self, directory: Path, project: str, ports: str) -> None:
        self.directory = directory
        self.variables = {"COMPOSE_PROJECT_NAME": project, "LADDER_PORTS": ports}
        self.stack = Stack(
            directory,
            f"{project}-ladder",
            {
                "COMPOSE_FILE": "compose.yaml:ladder/compose.yaml",
                "LADDER_PORTS": ports,
                "SITE_PORT": f"{ports}8",
            },
        )

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["scripts/ladder", *options],
            cwd=self.directory,
            env={**os.environ, **self.variables},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a terminal of its own, as far as Ctrl-C goes
        )

    def run(self, *options: str) -> tuple[int, str, str]:
        """Climb; return exit status, stdout and stderr."""
        process = self.start(*options)
        out, err = process.communicate(timeout=200)
        return process.returncode, out, err

    def url(self, number: int, path: str = "/") -> str:
        return f"http://localhost:{self.variables['LADDER_PORTS']}{number}{path}"

    def left(self) -> list[str]:
        """Return what there is of its project: containers, networks, volumes, images."""
        engine, label = self.stack.engine, f"{PROJECT_LABEL}={self.stack.project}"
        names = [
            str(container.name)
            for container in engine.containers.list(
                all=True, filters={"label": label}, ignore_removed=True
            )
        ]
        names += [str(network.name) for network in engine.networks.list(filters={"label": label})]
        names += [str(volume.name) for volume in engine.volumes.list(filters={"label": label})]
        tags = image_names()
        return names + [tag for tag in tags if tag.startswith(f"{self.stack.project}-")]


@pytest.fixture(scope="session")
def make_ladder(run: str, images: str, ladder_ports: Callable[[], str]) -> Callable[[Path], Ladder]:
    """Return a function that prepares a ladder; the layers of its images are there already."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    numbers = iter(range(100))

    def make(directory: Path) -> Ladder:
        return Ladder(directory, f"{run}-{worker}-l{next(numbers)}", ladder_ports())

    return make


@pytest.fixture(scope="module")
def climbed(
    make_ladder: Callable[[Path], Ladder], pytestconfig: pytest.Config
) -> Iterator[tuple[Ladder, str]]:
    """A ladder with all rungs up, and what climbing it printed."""
    ladder = make_ladder(ROOT)
    try:
        code, out, err = ladder.run("--keep")
        assert code == 0, out + err
        yield ladder, out
    finally:
        if not pytestconfig.getoption("--keep"):
            assert ladder.run("--down")[0] == 0
            assert ladder.left() == []


# -- every rung


def test_the_climb_tells_of_each_rung(climbed: tuple[Ladder, str]) -> None:
    ladder, out = climbed
    every = rungs.rungs(ladder.stack)
    assert [rung.number for rung in every] == list(NUMBERS)
    parts = out.split("\nRung ")[1:]
    for rung, part in zip(every, parts, strict=True):
        assert part.startswith(f"{rung.number}  {rung.diagram}\n")
        for service in rung.services:
            assert f"    {service}: {rungs.command(ladder.stack, service)}\n" in part
        assert "    GET / → 200 OK, Server: " in part
        assert f"    Added: {rung.adds[:40]}" in part
    assert "All rungs answered. They stay up until: scripts/ladder --down\n" in out


def test_hello_is_what_the_tutorial_wants(climbed: tuple[Ladder, str]) -> None:
    for number, server in ((1, None), (4, "nginx")):
        answer = requests.get(climbed[0].url(number), timeout=5)
        assert (answer.status_code, answer.text) == (200, "Hello World")
        assert answer.headers.get("Server") == server


@pytest.mark.parametrize("number", [2, 5, 6, 7, 8])
def test_django_answers(climbed: tuple[Ladder, str], number: int) -> None:
    ladder, _ = climbed
    answer = requests.get(ladder.url(number), timeout=5)
    assert answer.status_code == 200
    assert "<h1>It works.</h1>" in answer.text
    host = ladder.url(number).split("/")[2]
    assert f"<dt>host</dt><dd>{host}</dd>" in answer.text  # as the client sent it
    assert answer.headers.get("Server") == (None if number == 2 else "nginx")
    # A form, with the cookie that comes with it: database and CSRF check. Each on a connection of its
    # own: uWSGI's HTTP closes after an answer, without saying so, and a client may lose that race.
    page = requests.get(ladder.url(number, "/admin/login/"), timeout=5)
    token = page.cookies["csrftoken"]
    refused = requests.post(
        page.url,
        data={"username": "x", "password": "x", "csrfmiddlewaretoken": token},
        headers={"Origin": ladder.url(number)[:-1]},
        cookies={"csrftoken": token},
        timeout=5,
    )
    assert refused.status_code == 200
    assert "Please enter the correct username" in refused.text


def test_nginx_alone(climbed: tuple[Ladder, str]) -> None:
    answer = requests.get(climbed[0].url(3), timeout=5)
    assert (answer.text, answer.headers["Server"]) == ("Welcome to nginx!\n", "nginx")


@pytest.mark.parametrize("number", [4, 5, 6, 7, 8])
def test_nginx_sends_files(climbed: tuple[Ladder, str], number: int) -> None:
    ladder, _ = climbed
    style = requests.get(ladder.url(number, "/static/admin/css/base.css"), timeout=5)
    assert "DJANGO Admin styles" in style.text
    assert style.headers["Content-Type"].startswith("text/css")
    picture = requests.get(ladder.url(number, "/media/media.png"), timeout=5)
    assert picture.content.startswith(b"\x89PNG")


def test_without_nginx_there_are_no_files(climbed: tuple[Ladder, str]) -> None:
    address = climbed[0].url(2, "/static/admin/css/base.css")
    assert requests.get(address, timeout=5).status_code == 404


@pytest.mark.parametrize("number", [4, 5, 6, 7])
def test_the_kind_of_socket(climbed: tuple[Ladder, str], number: int) -> None:
    """As the kernel has it: a listener on TCP, or a file in the volume that both mount."""
    stack, service = climbed[0].stack, f"rung{number}-uwsgi"
    listening = [
        line.split()[1]
        for line in stack.run(service, "cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
        if line.split()[3] == "0A" and ":1F41" in line  # 8001
    ]
    unix = stack.exec(service, "stat", "--format=%F %a %u:%g", "/run/uwsgi/mysite.sock").out
    if number < 6:
        assert (len(listening), unix) == (1, "")
    else:
        assert (listening, unix) == ([], "socket 664 10001:10100\n")
        assert stack.container(service).attrs["HostConfig"]["NetworkMode"] == "none"


def test_the_rungs_are_as_locked_in_as_the_stack(climbed: tuple[Ladder, str]) -> None:
    ladder, _ = climbed
    services = ladder.stack.definition["services"]
    assert len(services) == 16
    for service in services:
        attributes = ladder.stack.container(service).attrs
        host = attributes["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert 0 < host["PidsLimit"] <= 128, service
        assert 0 < host["Memory"] <= 2**30, service
        assert attributes["Config"]["User"].split(":")[0] in ("10001", "10002"), service
        for bindings in (host["PortBindings"] or {}).values():
            assert [binding["HostIp"] for binding in bindings] == ["127.0.0.1"], service


# -- ladder/README.md: scripts/ladder --write-docs makes what is between its marks


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """What stands between the marks, by name."""
    return page.blocks(page.PAGE.read_text())


def cells(markdown: str) -> list[list[str]]:
    """Return the rows of the last table in a text, without its head."""
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line[:1] == "|"]
    last = max(number for number, row in enumerate(rows) if set("".join(row)) <= {"-"})
    return rows[last + 1 :]


def test_every_part_of_the_docs_is_made(
    climbed: tuple[Ladder, str], written: dict[str, str]
) -> None:
    made = {f"rung-{number}" for number in NUMBERS} | {*page.makers(climbed[0].stack)}
    assert {*written} == made
    assert all(written.values())


def test_the_docs_tell_of_each_rung_as_it_is(
    climbed: tuple[Ladder, str], written: dict[str, str]
) -> None:
    stack = climbed[0].stack
    for rung in rungs.rungs(stack):
        now = page.story(stack, rung, rungs.ask(stack, rung))
        told = written[f"rung-{rung.number}"]
        assert re.sub(r" \d+ ms", "", told) == re.sub(r" \d+ ms", "", now)


def test_the_docs_have_the_ini_file_as_it_is(written: dict[str, str]) -> None:
    assert written["ini"] == ini.block()


def test_the_docs_tell_of_owners_and_modes_as_they_are(
    climbed: tuple[Ladder, str], written: dict[str, str]
) -> None:
    assert written["identities"] == page.identities(climbed[0].stack)


def test_the_docs_tell_of_the_permission_trap_as_it_is(
    climbed: tuple[Ladder, str], written: dict[str, str]
) -> None:
    stack = climbed[0].stack
    assert written["permissions"] == trap.block(stack, rungs.rungs(stack)[5])


def test_the_docs_show_a_real_packet(climbed: tuple[Ladder, str], written: dict[str, str]) -> None:
    stack = climbed[0].stack
    now = dict(packet.variables(packet.capture(stack, rungs.rungs(stack)[5])))
    shown = {row[1].strip("`"): row[3].strip("`") for row in cells(written["packet"])}
    assert [*shown] == [*now]
    vary = {"REMOTE_ADDR", "REMOTE_PORT", "HTTP_HOST"}
    assert {
        name: value.replace("(empty)", "") for name, value in shown.items() if name not in vary
    } == {name: value for name, value in now.items() if name not in vary}
    # What is shown adds up: two bytes of length before each name and each value.
    size = sum(4 + len(name) + len(value.replace("(empty)", "")) for name, value in shown.items())
    assert f"| {size} bytes |" in written["packet"]


def test_the_docs_tell_what_each_signal_does(
    climbed: tuple[Ladder, str], written: dict[str, str]
) -> None:
    stack = climbed[0].stack
    assert written["signals"] == signals.try_all(stack)
    told = cells(written["process-one"])
    assert told[:3] == signals.inside(stack)
    assert len(told) == 6  # the others end the app: that takes a minute


def test_the_docs_have_all_that_is_measured(written: dict[str, str]) -> None:
    assert [row[0] for row in cells(written["why-nginx"])] == [*measure.WHY_NGINX]
    assert [row[0] for row in cells(written["tcp-and-unix"])] == [*measure.SOCKETS]


# -- the command


def test_a_broken_rung_is_named(make_ladder: Callable[[Path], Ladder], project_copy: Path) -> None:
    """nginx pointed at the wrong port: it stops there and says what was added there."""
    (project_copy / ".venv").symlink_to(ROOT / ".venv")
    config = project_copy / "ladder/nginx/rung4.conf"
    config.write_text(config.read_text().replace("rung4-uwsgi:8001", "rung4-uwsgi:8002"))
    ladder = make_ladder(project_copy)
    code, out, err = ladder.run()
    assert code == 1
    assert [line.split()[1] for line in out.splitlines() if line[:5] == "Rung "] == list("1234")
    words = " ".join(err.split())
    assert "rung4-nginx said: " in words
    assert "111: Connection refused" in words
    assert "The doctor says: Nobody listens on rung4-uwsgi:8002" in words
    assert "scripts/ladder: rung 4 does not answer as it should: GET / → 502 Bad Gateway" in words
    assert "What was added there: the TCP socket between nginx and uWSGI" in words
    assert 'Where to look: do nginx\'s "server" line and uWSGI\'s "--socket" name the same' in words
    assert ladder.left() == []


def test_a_setting_that_makes_no_sense_is_named(
    make_ladder: Callable[[Path], Ladder], project_copy: Path
) -> None:
    """Rung 2 is the first with the site's settings; a rung may be climbed alone."""
    (project_copy / ".venv").symlink_to(ROOT / ".venv")
    (project_copy / ".env").write_text("SITE_WORKER=3\n")
    ladder = make_ladder(project_copy)
    code, out, err = ladder.run("--rung", "2")
    assert code == 1
    assert "Rung 1" not in out
    sentence = (
        "SITE_WORKER is not a setting: did you mean SITE_WORKERS? .env.example lists them all."
    )
    assert f"init said: init: {sentence}" in " ".join(err.split())  # it is wrapped
    assert "scripts/ladder: rung 2 does not answer as it should: service" in err
    assert ladder.left() == []


def test_ctrl_c_leaves_nothing(make_ladder: Callable[[Path], Ladder]) -> None:
    """One rung, in the middle of it; whoever presses Ctrl-C reaches every process of the terminal."""
    ladder = make_ladder(ROOT)
    process = ladder.start("--rung", "1")
    assert process.stdout
    while not process.stdout.readline().startswith("    rung1-uwsgi: "):
        assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert ladder.left() == []


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["--rung", "9"], {}, "--rung needs a number from 1 to 8."),
        (["--rung"], {}, "--rung needs a number from 1 to 8."),
        ([], {"LADDER_PORTS": "81"}, "LADDER_PORTS is '81', and should be the start of a port's"),
    ],
)
def test_a_mistake_gets_one_sentence(
    make_ladder: Callable[[Path], Ladder],
    arguments: list[str],
    variables: dict[str, str],
    sentence: str,
) -> None:
    ladder = make_ladder(ROOT)
    ladder.variables |= variables
    code, out, err = ladder.run(*arguments)
    assert (code, out) == (1, "")
    assert err.strip().startswith(f"scripts/ladder: {sentence}")


def test_a_taken_port_is_named(climbed: tuple[Ladder, str]) -> None:
    ladder, _ = climbed
    other = Ladder(
        ROOT, f"{ladder.variables['COMPOSE_PROJECT_NAME']}x", ladder.variables["LADDER_PORTS"]
    )
    code, _, err = other.run()
    assert code == 1
    assert f"port {other.variables['LADDER_PORTS']}1 is already taken" in err
    assert requests.get(ladder.url(1), timeout=5).status_code == 200
    assert other.left() == []
