"""Change nginx's configurations on their volume, without the job that writes them (nginx/configure.sh)."""

from tests.support.stack import Stack


def change(stack: Stack, command: str) -> None:
    """Run a bash command in their directory; raise ``StackError`` if it fails."""
    shell = ("--entrypoint", "bash", "nginx-config", "-e", "-c")
    stack.compose("run", "--rm", "--no-deps", "--no-TTY", *shell, f"cd /srv/nginx; {command}")


def wait_for_verdict(stack: Stack, verdict: str = "") -> None:
    """Wait until nginx has "loaded" or "refused" the current one; without ``verdict``, either."""

    def seen() -> bool:
        current = stack.run("nginx", "readlink", "/srv/nginx/current").strip()
        said, name = stack.run("nginx", "cat", "/run/nginx/verdict").split(" ")[:2]
        return said.startswith(verdict) and name == current

    stack.wait(f"nginx has {verdict or 'judged'} what is new", seen, 20)
