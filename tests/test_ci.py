"""The action: its steps as a GitHub runner runs them. (Its summary and the workflow: tests/unit.)"""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import yaml
from whichhop import report
from whichhop.finding import HOPS, ok

from tests.conftest import ROOT
from tests.support.stack import Stack

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
SOCKET = "/run/uwsgi/mysite.sock"


class Outcome(NamedTuple):
    """What a use of the action left: its exit status, log, outputs and job summary."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str


Use = Callable[..., Outcome]


def fill_in(text: str, values: dict[str, str]) -> str:
    """Put the value of each ``${{ name }}`` into a text, as the runner does."""
    return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], text)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The checked-out repository that uses the action."""
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


@pytest.fixture
def use(workspace: Path, tmp_path: Path) -> Use:
    """Return a function that uses the action as the runner would: ``use(environment, **inputs)``."""

    def run(environment: dict[str, str], **given: str) -> Outcome:
        inputs = {name.replace("_", "-"): value for name, value in given.items()}
        assert set(inputs) <= set(ACTION["inputs"])
        values = {
            f"inputs.{name}": inputs.get(name, declared["default"])
            for name, declared in ACTION["inputs"].items()
        }
        summary, log, code = tmp_path / "summary", "", 0
        summary.touch()
        for step in ACTION["runs"]["steps"]:
            output = tmp_path / f"output of {step['id']}"
            script = tmp_path / f"{step['id']}.sh"
            script.write_text(fill_in(step["run"], values))
            process = subprocess.run(
                ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
                cwd=workspace,
                env={
                    **os.environ,
                    **environment,
                    "GITHUB_ACTION_PATH": str(ROOT),
                    "GITHUB_WORKSPACE": str(workspace),
                    "GITHUB_OUTPUT": str(output),
                    "GITHUB_STEP_SUMMARY": str(summary),
                    **{name: fill_in(value, values) for name, value in step["env"].items()},
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=100,
            )
            log, code = log + process.stdout, code or process.returncode
            for line in output.read_text().splitlines() if output.exists() else ():
                name, _, value = line.partition("=")
                values[f"steps.{step['id']}.outputs.{name}"] = value
        outputs = {
            name: fill_in(declared["value"], values) for name, declared in ACTION["outputs"].items()
        }
        return Outcome(code, log, outputs, summary.read_text())

    return run


def settings(stack: Stack) -> dict[str, str]:
    """Return the environment in which Compose finds a stack of the tests."""
    return {"COMPOSE_PROJECT_NAME": stack.project, **stack.variables}


def said(log: str) -> str:
    """Return what the doctor said, which the runner must not read as commands."""
    match = re.search(r"^::stop-commands::(\S{16,})\n(.*)^::\1::$", log, re.DOTALL | re.MULTILINE)
    assert match, log
    return match[2]


def read(path: Path) -> ElementTree.Element:
    """Return the doctor's JUnit report."""
    return ElementTree.fromstring(path.read_text())  # noqa: S314 # our own file


# -- the action


def test_a_healthy_stack_passes(stack: Stack, use: Use, workspace: Path) -> None:
    outcome = use(
        settings(stack),
        project_directory=os.path.relpath(ROOT, workspace),
        nginx="nginx",
        app="app",
        report="test-results/doctor.xml",
    )
    assert outcome.code == 0, outcome.log
    assert outcome.outputs == {"status": "ok", "cause": ""}
    for hop in HOPS:
        assert re.search(rf"^✓ {hop} ", said(outcome.log), re.MULTILINE), outcome.log
        assert f"| ✅ | {hop} | " in outcome.summary
    assert "### The doctor: 10 hops work" in outcome.summary
    assert "::error" not in outcome.log
    suite = read(workspace / "test-results" / "doctor.xml")
    hops = dict.fromkeys(case.get("classname") for case in suite.iter("testcase"))
    assert list(hops) == list(HOPS)  # a hop may have an advice beside its "ok"


def test_an_address_is_judged_from_outside(stack: Stack, use: Use) -> None:
    outcome = use({}, url=stack.url)
    assert outcome.code == 0, outcome.log
    assert outcome.outputs == {"status": "ok", "cause": ""}
    assert f"| ✅ | port | {stack.url} takes connections" in outcome.summary
    assert "| socket |" not in outcome.summary


@pytest.fixture
def private_socket(stack: Stack) -> Iterator[None]:
    """A socket to which nginx may not connect."""
    stack.run("app", "chmod", "600", SOCKET)
    try:
        yield
    finally:
        stack.run("app", "chmod", "660", SOCKET)


@pytest.mark.expect_log(r"connect\(\) to unix:.* failed \(13|\"status\":50[0-9]")
@pytest.mark.usefixtures("private_socket")
def test_a_broken_stack_fails_and_the_run_says_why(stack: Stack, use: Use, workspace: Path) -> None:
    (workspace / "project").symlink_to(ROOT)
    outcome = use(settings(stack), project_directory="project")
    assert outcome.code == 1, outcome.log
    assert outcome.outputs == {"status": "broken", "cause": "socket-mode"}
    assert re.search(r"^✗ socket ", said(outcome.log), re.MULTILINE), outcome.log
    annotation = (
        r"^::error title=socket is broken \(socket-mode\)::nginx .*%0ATo do: set chmod-socket = 660"
    )
    assert re.search(annotation, outcome.log, re.MULTILINE), outcome.log
    assert "### The doctor: socket is broken (socket-mode)" in outcome.summary
    assert "| ✅ | port |" in outcome.summary
    assert "| ❌ | socket | nginx (10002:10100) may not connect" in outcome.summary
    assert "**To do:** set chmod-socket = 660" in outcome.summary
    suite = read(workspace / "doctor.xml")
    assert suite.find(".//testcase[@classname='socket']/failure") is not None


@pytest.mark.parametrize(
    "inputs",
    [
        {"project_directory": "not-there"},
        {"project_directory": '$(touch gone); `touch gone`"; touch gone; "'},
        {"nginx": "--help"},
        {"app": "; touch gone"},
        {"url": "--hop"},
        {"url": "http://localhost", "nginx": "nginx"},
    ],
    ids=str,
)
def test_what_cannot_be_looked_at_is_not_passed(
    stack: Stack, use: Use, workspace: Path, inputs: dict[str, str]
) -> None:
    """And an input is never code, whatever it contains."""
    (workspace / "doctor.xml").write_text(report.as_junit([ok("port", "in an earlier run")]))
    outcome = use(settings(stack), **{"project_directory": str(ROOT), **inputs})
    assert outcome.code == 2, outcome.log
    assert outcome.outputs == {"status": "unknown", "cause": ""}
    assert "### The doctor: the stack could not be looked at" in outcome.summary
    assert "::error title=the stack could not be looked at::" in outcome.log
    assert "whichhop: " in said(outcome.log)
    assert not list(workspace.glob("gone*"))
