"""The audit's test bed: a Compose project and a certificate authority of its own, removed afterwards."""

import contextlib
import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from whichhop.target.stack import PROJECT_LABEL, Stack, StackError

ROOT = Path(__file__).resolve().parent.parent.parent

# The admin's login. createsuperuser reads these variables, and dev/audit/browser.mjs the password.
ADMIN = {
    "DJANGO_SUPERUSER_USERNAME": "audit",
    "DJANGO_SUPERUSER_EMAIL": "audit@site.example",
    "DJANGO_SUPERUSER_PASSWORD": secrets.token_urlsafe(),
}

# The variants of the stack that are audited, each with the files that it adds to compose.yaml.
VARIANTS = {
    "http": [],
    "https": ["compose/tls.yaml"],
    "http3": ["compose/tls.yaml", "compose/http3.yaml"],
}


def _variables(variant: str, authority: str) -> dict[str, str]:
    """Return the variables of a variant; with https, HSTS is on, as an owner of the domain would set it."""
    variables = {
        "COMPOSE_FILE": ":".join(["compose.yaml", *VARIANTS[variant], "dev/audit/compose.yaml"]),
        "AUDIT_AUTHORITY": authority,
        "SITE_URL": "http://site.example,http://plain.example,http://direct.example:8080",
    }
    if variant != "http":
        variables |= {
            "SITE_URL": "https://site.example,https://direct.example:8443",
            "SITE_HSTS_SECONDS": "63072000",
            "SITE_TLS_CERTIFICATE": f"{authority}/certificate.pem",
            "SITE_TLS_KEY": f"{authority}/key.pem",
        }
    return variables


@contextlib.contextmanager
def stand() -> Iterator[Callable[[str], Stack]]:
    """
    Yield a function that starts a variant of the stack and returns it once it is healthy.

    That function raises ``StackError`` if the images cannot be built or the stack does not start.
    Everything is removed at the end, whatever happens.
    """
    project = f"mysite-audit-{os.getpid()}"
    with tempfile.TemporaryDirectory() as authority:
        Path(authority).chmod(0o755)

        def become(variant: str) -> Stack:
            stack = Stack(ROOT, project, _variables(variant, authority))
            stack.compose("build", timeout=1800)
            if not any(Path(authority).iterdir()):
                _make_authority(project, authority)
            stack.up("--no-build", "--remove-orphans")
            if variant == "http":
                _create_admin(stack)
            return stack

        try:
            become("http")
            yield become
        finally:
            everything = Stack(ROOT, project, _variables("http3", authority))
            everything.down("--volumes", "--rmi", "all", "--timeout", "5")


def _make_authority(project: str, folder: str) -> None:
    process = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--label", f"{PROJECT_LABEL}={project}",
         "--volume", f"{folder}:/authority", "--workdir", "/authority",
         f"{project}-audit", "bash", "/audit/authority.sh"],
        capture_output=True, text=True,
    )  # fmt: skip
    if process.returncode:
        raise StackError(f"there is no certificate for the audit:\n{process.stderr}")


def _create_admin(stack: Stack) -> None:
    command = ("python3", "manage.py", "createsuperuser", "--no-input")
    output = stack.exec("app", *command, environment=ADMIN)
    if output.code and "already taken" not in output.err:
        raise StackError(f"there is no user for the audit:\n{output.err}")
