"""Every script tells how it is used, from any folder, and refuses an option that it does not have."""

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT, copy_project
from tests.support.stack import Stack
from tests.support.terminal import Terminal, refusal

SCRIPTS = sorted(
    path.name
    for path in (ROOT / "scripts").iterdir()
    if path.is_file() and os.access(path, os.X_OK)
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that no test here changes."""
    clone = copy_project(tmp_path_factory.mktemp("scripts"))
    # scripts/doctor is Python: it gets the virtual environment that is there, and cannot make one.
    (clone / ".venv").symlink_to(ROOT / ".venv")
    return clone


@pytest.fixture
def terminal(clone: Path, tmp_path: Path) -> Terminal:
    (tmp_path / "tools").mkdir()
    terminal = Terminal(Stack(clone, "never-started"), tmp_path / "tools")
    terminal.environment["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
    return terminal


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_printed_from_any_folder_and_nothing_else_is_done(
    terminal: Terminal, script: str
) -> None:
    """(In particular, it does not stop the stack.)"""
    terminal.fake("python3", "exit 1")
    scripts = terminal.directory / "scripts"
    for command, folder in (
        (f"scripts/{script}", terminal.directory),
        (f"./{script}", scripts),
        (scripts / script, Path("/")),
    ):
        process = terminal.run(command, "--help", cwd=folder)
        assert (process.returncode, process.stderr) == (0, "")
        assert f"usage: scripts/{script}" in process.stdout
        assert not process.stdout.startswith(("#", "\n"))
        assert "source " not in process.stdout


@pytest.mark.parametrize("script", sorted({*SCRIPTS} - {"test", "doctor"}))
def test_an_unknown_option_is_refused_in_one_sentence(terminal: Terminal, script: str) -> None:
    """(scripts/test hands all it gets to pytest, scripts/doctor to argparse.)"""
    process = terminal.run(f"scripts/{script}", "--bogus")
    sentence = f"unknown option '--bogus': scripts/{script} --help lists them all."
    assert refusal(process) == sentence
