"""A user at a terminal, in a clone of the project, who types commands and reads their output."""

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.stack import PROJECT_LABEL, Stack, StackError


class Terminal:
    """A shell in a new clone, with a Compose project of its own; nothing is started yet."""

    def __init__(self, stack: Stack, tools: Path) -> None:
        self.stack = stack
        self.directory = stack.directory
        self.tools = tools
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SITE_", "COMPOSE_", "DOCKER_"))
        }
        self.environment |= {"COMPOSE_PROJECT_NAME": stack.project, **stack.variables}
        self.environment["PATH"] = f"{tools}:{os.environ['PATH']}"

    def run(
        self, *command: str | Path, answer: str = "", cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as a user would who answers its question with ``answer``."""
        return subprocess.run(
            [str(word) for word in command],
            cwd=cwd or self.directory,
            env={**self.environment, **variables},
            input=answer,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def fake(self, name: str, script: str) -> None:
        """Replace a program with a shell script."""
        (self.tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.tools / name).chmod(0o755)

    def fake_docker(self, case: str) -> None:
        """Make ``docker`` run other code for arguments that match a ``case`` pattern of sh, e.g. ``pull*)``."""
        self.fake("docker", f'case "$*" in {case} ;; esac\nexec {shutil.which("docker")} "$@"')

    def uninstall(self, *names: str) -> None:
        """Hide programs, fakes included, with a PATH of links to all others."""
        for name in names:
            (self.tools / name).unlink(missing_ok=True)
        installed = self.tools.parent / "installed"
        installed.mkdir()
        for directory in os.environ["PATH"].split(":"):
            if Path(directory).is_dir():
                for program in Path(directory).iterdir():
                    link = installed / program.name
                    if program.name not in names and not link.is_symlink():
                        link.symlink_to(program)
        self.environment["PATH"] = f"{self.tools}:{installed}"

    def edit(self, name: str, text: str) -> None:
        """Append a line to a file of the clone."""
        with (self.directory / name).open("a") as file:
            file.write(f"{text}\n")

    def containers(self) -> dict[str, str]:
        """Return the id, image and configuration hash of every service's container."""
        found = {}
        for service in ("init", "app", "nginx"):
            with contextlib.suppress(StackError):
                container = self.stack.container(service)
                settings = container.labels["com.docker.compose.config-hash"]
                image = container.attrs["Image"]
                found[service] = f"{container.id}: {image}, settings {settings}"
        return found

    def volumes(self) -> set[str]:
        label = f"{PROJECT_LABEL}={self.stack.project}"
        return {volume.name for volume in self.stack.engine.volumes.list(filters={"label": label})}


def refusal(process: subprocess.CompletedProcess[str]) -> str:
    """Return the message with which a script failed; check that it failed as our scripts should."""
    assert process.returncode == 1, process
    assert process.stdout == ""
    assert process.stderr, "it failed without a word"
    *lines, last = process.stderr.splitlines()
    match = re.fullmatch(r"scripts/[a-z-]+: (\S.*)", last)
    assert match, process.stderr
    assert not [line for line in lines if line.startswith("scripts/")], "said more than once"
    # Raw messages of bash and other tools do not help a user.
    noise = r"scripts/\S+: line \d+:|unbound variable|command not found|\x1b|^[a-z]+: "
    assert not re.search(noise, process.stderr, re.MULTILINE), process.stderr
    return match[1]
