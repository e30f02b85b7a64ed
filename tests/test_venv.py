"""scripts/venv: .venv is complete or absent, however many ask for it at once, and whatever is killed."""

import os
import signal
import subprocess
from pathlib import Path

from tests.support.polling import poll


def make(project: Path) -> subprocess.Popen[str]:
    """Start scripts/venv, for the doctor's few packages, in a session of its own."""
    return subprocess.Popen(
        ["scripts/venv", "--doctor"],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_complete(project: Path) -> bool:
    """Return whether what the doctor imports is there, and the programs name the right directory."""
    program = project / ".venv/bin/pip"
    check = [str(project / ".venv/bin/python"), "-c", "import docker, requests, brotli"]
    return not any(
        subprocess.run(command, check=False, capture_output=True).returncode
        for command in (check, [str(program), "--version"])
    )


def test_two_scripts_at_once_make_one_complete_venv(project_copy: Path) -> None:
    both = [make(project_copy), make(project_copy)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(text.count("Making .venv") for text in said) == [0, 1], said
    assert is_complete(project_copy)
    assert sorted(path.name for path in project_copy.glob(".venv*")) == [".venv"]


def test_a_venv_whose_making_was_killed_is_not_there(project_copy: Path) -> None:
    killed = make(project_copy)
    poll("it is begun", lambda: list(project_copy.glob(".venv*/lib/*/site-packages/*")), 60)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (project_copy / ".venv").exists()
    assert make(project_copy).wait(120) == 0
    assert is_complete(project_copy)
