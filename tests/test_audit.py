"""scripts/audit: the cheap part of it on each change. (What its results are worth: tests/unit.)"""

import pytest

from dev.audit import tools
from dev.audit.result import CouldNotRun, unanswered
from tests.support.stack import Stack


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
