"""scripts/audit: the cheap part of it on each change, and what its results are worth."""

import re
import subprocess

import pytest
from whichhop.stack import Stack

from dev.audit import tools
from dev.audit.result import ANSWERS, CouldNotRun, Result, as_markdown, unanswered
from tests.conftest import ROOT


def test_gixy_finds_nothing_without_an_answer(stack: Stack) -> None:
    """(Of the configuration with TLS: tests/test_tls.py.)"""
    assert unanswered("gixy", [tools.gixy(stack)]) == []


@pytest.mark.parametrize(
    ("mistake", "name"),
    [
        ("location /files { alias /srv/media/; }", "alias_traversal"),
        ("if ($http_origin ~ https?://trusted.example) { return 204; }", "origins"),
        ('location /x { proxy_pass "http://$arg_host"; }', "ssrf"),
    ],
)
def test_gixy_finds_a_mistake(stack: Stack, mistake: str, name: str) -> None:
    dump = stack.run("nginx", "nginx", "-T")
    server = "    include server_name.conf;"
    assert server in dump
    result = tools.read_configuration(dump.replace(server, server + mistake))
    assert name in result.findings
    assert unanswered("gixy", [result])


@pytest.mark.parametrize(
    "damage", [("sendfile on;", "sendfile on"), ("events {", "events"), ("include site.conf;", "")]
)
def test_what_gixy_cannot_read_is_not_passed(stack: Stack, damage: tuple[str, str]) -> None:
    dump = stack.run("nginx", "nginx", "-T")
    assert damage[0] in dump
    with pytest.raises(CouldNotRun):
        tools.read_configuration(dump.replace(*damage))


def test_a_tool_that_says_nothing_has_not_passed(stack: Stack) -> None:
    """There is no container with tools in a stack of the suite."""
    for section in tools.SECTIONS.values():
        if section.run not in (tools.gixy, tools.deploy):
            with pytest.raises(Exception, match=r"the service 'audit' of .* has no container"):
                section.run(stack)


def test_a_section_that_there_is_not() -> None:
    process = subprocess.run(
        [".venv/bin/python", "-m", "dev.audit", "gixie"], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 2
    assert "I do not know the section 'gixie'; there are gixy, " in process.stderr


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
