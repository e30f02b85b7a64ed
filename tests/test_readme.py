"""
Every command in the README, and in the pages of docs/ that it sends its readers to, typed at a terminal in a
fresh copy of the project.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.conftest import ROOT, discard
from tests.support.doctor import assert_healthy
from tests.support.people import PASSWORD, log_in
from tests.support.stack import Stack

# What the reader sees after each command, in the order in which a reader gets to it.
EXPECTED = {
    "docker compose up --build --wait": r"nginx-1\S*\s+\S*Healthy",
    "scripts/up": r"The site is up: http://localhost:\d+",
    "scripts/doctor": "All 10 hops work",
    "scripts/doctor --project-directory .": "All 10 hops work",
    "docker compose exec app python manage.py createsuperuser": "Username",
    "docker compose exec app python manage.py check": "no issues",
    "docker compose ps --all": r"init.*Exited \(0\)",
    "docker compose logs init": "static files refreshed",
    "docker compose logs app": "spawned uWSGI worker 4",
    "docker compose logs --no-log-prefix nginx app": '"request_id":"[0-9a-f]{32}"',
    "docker compose logs --follow": '"hop":"nginx"',
    "scripts/backup": r"Backed up and read back: \d+ files",
    "scripts/rotate-secret-key": "The site works with it",
    "docker compose build --no-cache": "naming to",
    "docker compose restart nginx": r"nginx-1\S*\s+\S*Started",
    "scripts/deploy": "The new release serves",
    "scripts/ladder": "All rungs answered",
    "scripts/deploy --rollback": "The release before serves again",
    "docker compose stop app": r"app-\d+\S*\s+\S*Stopped",
    "docker compose start app": r"app-\d+\S*\s+\S*Started",
    "scripts/down": r"Stopping the stack . done",
}

# docs/operations.md, docs/emperor.md and ladder/README.md have tests of their own: test_deploy, test_backup, test_emperor, …
PAGES = ["README.md", *(f"docs/{name}.md" for name in ("https", "cached-pages", "troubleshooting"))]

# The suite itself, which is what runs this test; what takes minutes (tests/test_audit.py has its cheap
# part); what needs the package index to do anything; and what needs compose/acme.yaml
# (tests/test_acme.py) or compose/dev.yaml (tests/test_reload.py).
NOT_HERE = {
    "scripts/test",
    "scripts/audit",
    "scripts/lock",
    "scripts/install-service",
    "scripts/reload",
    "docker compose logs renewal",
}


def commands_in(page: str) -> list[str]:
    """Return the commands that a page shows, in its order, each as often as it is there."""
    text = (ROOT / page).read_text()
    inline = r"`((?:docker compose|scripts/)[^`\n]*[a-z])`"
    found = re.findall(rf"```console\n(.*?)\n```|{inline}", text, re.DOTALL)
    return [line for block, command in found for line in (block or command).splitlines()]


def test_no_command_that_a_reader_is_shown_is_left_out() -> None:
    shown = {command for page in PAGES for command in commands_in(page)}
    assert shown - {"docker compose up"} == set(EXPECTED) | NOT_HERE


def test_the_chinese_readme_shows_the_same_commands_and_links() -> None:
    assert commands_in("README.zh-CN.md") == commands_in("README.md")
    links = [
        re.findall(r"\]\(((?!README)[^)]+)\)", (ROOT / page).read_text())
        for page in ("README.md", "README.zh-CN.md")
    ]
    assert links[0] == links[1]


def as_with_umask_077(project: Path) -> None:
    """
    Make the copy one of somebody whose umask is 077, which the images must not take over.

    They are other images than the other tests', whose layers "build --no-cache" would replace in the
    engine's cache.
    """
    for dockerfile in project.glob("Dockerfile.*"):
        text = re.sub(
            r"^(FROM debian.*)$", r"\1\nENV OF=reader", dockerfile.read_text(), flags=re.M
        )
        dockerfile.write_text(text)
    subprocess.run(["chmod", "--recursive", "go=", project], check=True)


@pytest.mark.timeout(1200)  # it builds all images without the cache
def test_the_readme_from_top_to_bottom(
    make_stack: Callable[..., Stack],
    project_copy: Path,
    ladder_ports: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    stack = make_stack(project_copy)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", stack.project)
    monkeypatch.setenv("SITE_PORT", stack.variables["SITE_PORT"])
    monkeypatch.setenv("LADDER_PORTS", ladder_ports())
    try:
        for command, expected in EXPECTED.items():
            if command.endswith("--no-cache"):
                as_with_umask_077(project_copy)
            terminal = pexpect.spawn(
                "bash", ["-c", command], cwd=project_copy, encoding="utf-8", timeout=500
            )
            terminal.expect(expected)
            if command.endswith("createsuperuser"):
                terminal.sendline("reader")
                terminal.expect("Email")
                terminal.sendline("reader@example.com")
                for prompt in ("Password:", r"Password \(again\):"):
                    terminal.expect(prompt)
                    terminal.sendline(PASSWORD)
                terminal.expect("Superuser created")
                log_in(stack, "reader")
            if command.endswith("--follow"):
                terminal.sendintr()
            terminal.expect(pexpect.EOF)
            terminal.close()
            assert terminal.exitstatus in (0, 130 if command.endswith("--follow") else 0), command
            if command == "scripts/deploy":
                assert_healthy(stack)
    finally:
        discard(stack, pytestconfig)
