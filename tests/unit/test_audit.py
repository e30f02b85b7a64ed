"""scripts/audit: its sections, and what is made of their findings."""

import re
import subprocess
import sys

from dev.audit import tools
from dev.audit.result import ANSWERS, Result, as_markdown, unanswered
from tests.conftest import ROOT


def test_a_section_that_there_is_not() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "dev.audit", "gixie"], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 2
    assert "unknown section 'gixie'; there are gixy, " in process.stderr


def test_each_section_has_its_place() -> None:
    """In --help, and in the page of results; no answer is for a section that there is not."""
    document = (ROOT / "docs" / "audit.md").read_text()
    marks = re.findall(r"^<!-- scripts/audit (\w+) -->\n(.*?)<!-- end -->", document, re.M | re.S)
    assert {name for name, _ in marks} == set(tools.SECTIONS)
    assert len(marks) == len(tools.SECTIONS)
    for name, results in marks:
        assert results.count("\n") >= 3, f"no results of {name}"
        assert "none yet" not in results
        for finding in ANSWERS.get(name, {}):
            assert f"`{finding}`" in results, f"{name}: {finding} is answered, and was not found"
    script = (ROOT / "scripts" / "audit").read_text()
    assert re.findall(r"^#   ([a-z]+)  ", script, re.MULTILINE) == list(tools.SECTIONS)
    assert set(ANSWERS) <= set(tools.SECTIONS)


def test_a_finding_without_an_answer_is_told() -> None:
    result = Result("a tool 1.0", "grade B", {"no-answer": "a | pipe"})
    assert unanswered("gixy", [result]) == ["no-answer: a | pipe"]
    assert "| `no-answer` | **none yet** |" in as_markdown("gixy", {"http": result})
