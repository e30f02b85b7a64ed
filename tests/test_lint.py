"""The tools that read the code: one run of scripts/lint."""

import subprocess

from tests.conftest import ROOT


def test_lint() -> None:
    process = subprocess.run(
        ["scripts/lint"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stdout + process.stderr
