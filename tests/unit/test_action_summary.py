"""The action's summary: what a run on GitHub shows of the doctor's report."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from whichhop import report
from whichhop.finding import Finding, Verdict, ok

from tests.conftest import ROOT


@pytest.fixture
def summarise(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Return a function that gives the annotation and the job summary for findings."""

    def run(status: int, *findings: Finding) -> tuple[str, str]:
        (tmp_path / "doctor.xml").write_text(report.as_junit(findings))
        process = subprocess.run(
            ["python3", ROOT / ".github" / "summary.py", "doctor.xml", str(status)],
            cwd=tmp_path,
            env={**os.environ, "GITHUB_STEP_SUMMARY": "summary", "GITHUB_OUTPUT": "output"},
            capture_output=True,
            text=True,
            check=True,
        )
        return process.stdout, (tmp_path / "summary").read_text()

    return run


def test_a_quoted_log_is_neither_markup_nor_a_command(
    summarise: Callable[..., tuple[str, str]],
) -> None:
    log = "GET /<img src=x>|`**_ 100%\r\n::error::injected"
    trouble = Finding("socket", Verdict.BROKEN, log, "socket-mode", (log, log), fix=log)
    annotation, summary = summarise(1, ok("port", "leads"), trouble)
    assert len(annotation.splitlines()) == 1
    assert "100%25" in annotation
    assert [row.count("|") for row in summary.splitlines() if row.startswith("|")] == [5] * 4
    assert "<img" not in summary
    assert not re.search(r"[`*_]", summary.partition("**To do:**")[2].partition("<pre>")[0])


def test_what_is_not_broken_is_told_too(summarise: Callable[..., tuple[str, str]]) -> None:
    advice = Finding(
        "uwsgi", Verdict.WARNING, "it works", "stop-reloads", ("a line",), "add a line"
    )
    annotation, summary = summarise(0, ok("port", "leads"), ok("uwsgi", "accepts"), advice)
    assert annotation == ""
    assert "2 hops work" in summary
    assert re.search(r"⚠️ uwsgi: it works\n\n<pre>a line\nadd a line</pre>", summary)
    unsure = Finding("django", Verdict.UNKNOWN, "no answer in time")
    annotation, summary = summarise(2, ok("port", "leads"), unsure)
    assert annotation == "::error title=django could not be judged::no answer in time\n"
    assert "| ❔ | django | no answer in time |" in summary
