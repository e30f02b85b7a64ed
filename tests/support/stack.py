"""The stack for the tests: the names of its services, and nginx's port."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from whichhop.target import stack
from whichhop.target.stack import PROJECT_LABEL, Output, StackError, run_once

__all__ = ["PROJECT_LABEL", "Output", "Stack", "StackError", "run_once"]

T = TypeVar("T")


class Stack(stack.Stack):
    """A Compose project of this stack."""

    @property
    def url(self) -> str:
        """The URL at which nginx is published, e.g. ``http://localhost:8000``."""
        # From the engine: "docker compose port" takes as long as twenty requests to the site.
        ports = self.container("nginx").attrs["NetworkSettings"]["Ports"]
        if not (bindings := ports.get("8080/tcp")):
            raise StackError(f"nginx of {self.project} is not published: it does not run")
        return f"http://localhost:{bindings[0]['HostPort']}"

    def manage(self, *arguments: str, user: str = "") -> str:
        """Run ``manage.py`` beside the running site and return its output."""
        return self.run("app", "python3", "manage.py", *arguments, user=user)

    def uwsgi(
        self,
        function: str,
        socket: str | tuple[str, int],
        *arguments: object,
        service: str = "app",
        python: str = "python3",
        user: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> object:
        """Call ``whichhop.probes.uwsgi_protocol`` in the app's container; see ``Stack.uwsgi`` there."""
        told = {"service": service, "python": python, "user": user}
        return super().uwsgi(function, socket, *arguments, **told, environment=environment)

    def wait(
        self, what: str, condition: Callable[[], T | None], seconds: float, service: str = "nginx"
    ) -> T:
        """Poll until ``condition`` returns a true value; give up at once if a container is dead."""
        return super().wait(what, condition, seconds, service)
