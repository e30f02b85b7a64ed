"""The doctor's command line: what it prints, what it ends with, and how it answers mistakes."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from whichhop.finding import HOPS

from tests.conftest import ROOT, started
from tests.support.stack import Stack

SOCKET = "/run/uwsgi/mysite.sock"
COMMAND = [sys.executable, "-m", "whichhop"]


@pytest.fixture(scope="module")
def shared_stack(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """`stack`, for the tests of this file: the command reports what visitors met in the last 15 minutes."""
    with started(make_stack(), pytestconfig) as stack:
        yield stack


def environment(stack: Stack) -> Mapping[str, str]:
    return {**os.environ, **stack.variables, "COMPOSE_PROJECT_NAME": stack.project}


def doctor(stack: Stack, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**environment(stack), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_healthy_stack(stack: Stack, tmp_path: Path) -> None:
    process = doctor(stack)
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.startswith("\nAll 10 hops work (")
    assert [line.split()[1] for line in process.stderr.splitlines()] == list(HOPS)
    assert "\x1b" not in process.stderr

    found = json.loads(doctor(stack, "--format", "json", "--hop", "socket").stdout)
    assert [(item["hop"], item["verdict"]) for item in found] == [("socket", "ok")]

    doctor(stack, "--format", "junit", "--output", str(tmp_path / "report.xml"))
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()  # noqa: S314 # our own file
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("10", "0", "0")
    assert [case.get("classname") for case in suite] == list(HOPS)


@pytest.mark.expect_log('connect\\(\\) to unix|"status":503')
def test_a_broken_stack(stack: Stack) -> None:
    with contextlib.ExitStack() as mend:
        mend.callback(stack.run, "app", "chmod", "660", SOCKET)
        stack.run("app", "chmod", "600", SOCKET)
        process = doctor(stack)
        assert process.returncode == 1
        assert "The first broken hop is: socket (socket-mode)" in process.stdout
        assert "To do: set chmod-socket = 660 in uwsgi/mysite.ini" in process.stdout
        junit = ElementTree.fromstring(doctor(stack, "--format", "junit").stdout)  # noqa: S314
        failed = [case.get("name") for case in junit if case.find("failure") is not None]
        assert failed == ["socket-mode"]


@pytest.mark.expect_log('connect\\(\\) to unix|"status":503')
def test_the_plugin_for_anybodys_tests(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(assert_hops_work, sites_under_test):\n"
        "    assert [finding.hop for finding in assert_hops_work(['socket', 'uwsgi'])]\n"
        "    assert [site.nginx.name for site in sites_under_test] == ['nginx']\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "--compose-project", str(ROOT), str(tmp_path)],
            cwd=tmp_path,
            env=environment(stack),
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert "1 passed" in run().stdout
    with contextlib.ExitStack() as mend:
        mend.callback(stack.run, "app", "chmod", "660", SOCKET)
        stack.run("app", "chmod", "600", SOCKET)
        process = run()
    assert process.returncode == 1
    assert "The first broken hop is: socket (socket-mode)" in process.stdout


def test_a_wheel_is_all_that_it_needs(stack: Stack, tmp_path: Path) -> None:
    """Installed elsewhere, and run from another folder; only its dependencies are those of here."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, str(tmp_path)], cwd=ROOT / "doctor", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("whichhop-1.*.whl")
    target, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, "--target", str(target), str(wheel)], check=True)
    process = subprocess.run(
        [sys.executable, "-c", "import whichhop; print(whichhop.__file__)"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
    )
    assert Path(process.stdout.strip()).is_relative_to(target)
    process = subprocess.run(
        [*COMMAND, "--project-directory", str(ROOT)],
        cwd=elsewhere,
        env={**environment(stack), "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "All 10 hops work" in process.stdout


@pytest.mark.expect_log('connect\\(\\) to unix|"status":503')
def test_watching_says_what_changes_and_only_that(stack: Stack) -> None:
    watch = subprocess.Popen(
        [*COMMAND, "--watch"], cwd=ROOT, env=environment(stack), text=True, stdout=subprocess.PIPE
    )
    assert watch.stdout
    said = iter(watch.stdout.readline, "")
    try:
        assert "All 10 hops work" in next(said)
        stack.run("app", "chmod", "600", SOCKET)
        assert "The first broken hop is: socket" in next(line for line in said if line.strip())
        stack.run("app", "chmod", "660", SOCKET)
        assert "All 10 hops work" in next(line for line in said if "  All" in line)
    finally:
        stack.run("app", "chmod", "660", SOCKET)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=20) == 0


def test_colour_is_for_terminals_and_for_those_who_want_it(stack: Stack) -> None:
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = subprocess.run(
            [
                "script",
                "--quiet",
                "--return",
                "--command",
                f"{shlex.quote(COMMAND[0])} -m whichhop",
                "/dev/null",
            ],
            cwd=ROOT,
            env={**environment(stack), **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert terminal.returncode == 0
        assert ("\x1b[32m" in terminal.stdout) is coloured


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["--project-directory", "nowhere"], {}, "there is no directory nowhere"),
        (
            ["--nginx", "proxy"],
            {},
            "has no service 'proxy'; it has: app, init, nginx, nginx-config",
        ),
        (["--project-directory", "/proc"], {}, "no configuration file provided"),
        (["--url", "localhost", "--app", "app"], {}, "--url looks from outside"),
        (["--url", "http://localhost", "--hop", "socket"], {}, "from outside, socket cannot be"),
        (["--url", "gopher://localhost"], {}, "is not an address such as https://"),
        ([], {"DOCKER_HOST": "unix:///nonexistent"}, "no Docker engine answers"),
        (["--output", "/nonexistent/report"], {}, "No such file or directory"),
    ],
)
def test_a_mistake_gets_one_sentence(
    stack: Stack, arguments: list[str], variables: dict[str, str], sentence: str
) -> None:
    process = doctor(stack, *arguments, **variables)
    assert process.returncode == 2
    assert sentence in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""


def test_a_site_from_outside(stack: Stack) -> None:
    process = doctor(stack, "--url", stack.url)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "Works: port, tls, nginx, static, media, django" in process.stdout
    assert "whichhop on that machine does" in process.stdout
