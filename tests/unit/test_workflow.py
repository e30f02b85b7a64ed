"""The CI workflow: every action is pinned, and what it runs, keeps and recommends is there."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit(workflow: Path) -> None:
    """With its version beside it, the same one everywhere; Dependabot moves both."""
    lines = re.findall(r"^ +(?:- )?uses: (.*)$", workflow.read_text(), re.MULTILINE)
    assert len(lines) == len([step for step in steps(workflow) if "uses" in step])
    pins: dict[str, str] = {}
    for line in lines:
        if not line.startswith("./"):
            assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
            action = line.partition("@")[0]
            assert pins.setdefault(action, line) == line


def test_the_workflow_runs_the_commands_of_the_readme() -> None:
    commands = [
        line.removeprefix("sudo ").split()[0]
        for workflow in WORKFLOWS
        for step in steps(workflow)
        for line in step.get("run", "").splitlines()
    ]
    assert {"scripts/up", "scripts/test"} <= set(commands)
    shown = (ROOT / "README.md").read_text()
    for command in commands:
        assert os.access(ROOT / command, os.X_OK) or shutil.which(command), command
        assert not command.startswith("scripts/") or re.search(rf"\b{command}\b", shown), command


def test_the_workflow_keeps_what_it_writes() -> None:
    """The doctor's report and the logs go where the upload looks for them."""
    smoke = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["smoke"]
    uploads = [step["with"]["path"] for step in smoke["steps"] if "upload" in step.get("uses", "")]
    assert uploads == ["test-results/"]
    reports = [step["with"]["report"] for step in smoke["steps"] if step.get("uses") == "./"]
    written = [
        word for step in smoke["steps"] for word in step.get("run", "").split() if ">" in word
    ]
    assert len(written) == 2
    assert all(f"{path}".lstrip(">").startswith(uploads[0]) for path in (*reports, *written))
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/test-results/" in ignored


def test_the_lines_in_the_docs_fit_the_action() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)
    uses = [step for block in blocks for step in yaml.safe_load(block)["steps"] if "uses" in step]
    assert [use["uses"] for use in uses] == ["OWNER/REPOSITORY@COMMIT"]
    assert set(uses[0]["with"]) <= set(ACTION["inputs"])


def test_a_commit_is_looked_at_by_the_tools_of_scripts_lint() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    lint = (ROOT / "scripts" / "lint").read_text()
    for hook in hooks:
        assert hook["language"] == "system"
        command = hook["entry"].removeprefix(".venv/bin/")
        assert command != hook["entry"]
        assert shutil.which(command.split()[0], path=ROOT / ".venv" / "bin")
        for option in ("--fix", "--write"):
            command = command.replace(f" {option}", "")
        assert re.search(rf'^check "[^"]+" {re.escape(command)}\b', lint, re.MULTILINE), command
