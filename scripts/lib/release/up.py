"""Build and start the stack, and check that it answers: what scripts/up does once there is an engine."""

import contextlib
import http.client
import socket
import sys
from typing import Any

from release.project import Container, Project, only_one
from release.terminal import CommandFailed, Failure, ask, run, script, show, step

MEGABYTES = 2000  # free space that the build needs


class Site:
    """The project, and the address that its settings give it."""

    def __init__(self) -> None:
        self.project = Project()
        settings = self.project.services["app"]["environment"]
        self.url = str(settings["SITE_URL"])
        self.bind = str(settings["SITE_BIND"])
        self.port = int(settings["SITE_PORT"])

    @property
    def address(self) -> str:
        """Return the address under which this machine reaches nginx."""
        return "127.0.0.1" if self.bind == "0.0.0.0" else self.bind.strip("[]")  # noqa: S104

    # -- before anything changes

    def refuse_taken_ports(self) -> None:
        """
        Raise ``Failure`` if another program uses one of the ports, which Compose would report only at the end.

        Our own running nginx does not count, whatever address it listens on.
        """
        filter = f"label=com.docker.compose.project={self.project.name}"
        own = ask("docker", "ps", "--filter", filter, "--format", "{{.Ports}}")
        published = {
            int(port["published"])
            for port in self.project.services["nginx"].get("ports") or []
            if port["protocol"] == "tcp"
        }
        for port in sorted(published):
            if f":{port}->" not in own and self.is_taken(port):
                self.refuse_port(port)

    def is_taken(self, port: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.address, port), 5):
            return True
        return False

    def refuse_port(self, port: int) -> None:
        setting = "SITE_PORT" if port == self.port else "SITE_HTTP_PORT"
        raise Failure(
            f"port {port} on {self.bind} is already taken by another program:"
            f" stop that, or choose another with {setting}=… in .env."
        )

    def refuse_full_disk(self) -> None:
        """Raise ``Failure`` without disk space for the build. Skipped if the engine is on another machine."""
        try:
            folder = ask("docker", "info", "--format", "{{.DockerRootDir}}")
            room = int(ask("df", "--output=avail", "--block-size=M", folder).split()[-1].strip("M"))
        except (CommandFailed, ValueError):
            return
        if room < MEGABYTES:
            raise Failure(
                f"only {room} MB are free where Docker keeps its images, and the build needs {MEGABYTES}:"
                ' make room ("docker system df" shows what takes it), then run this again.'
            )

    def prepare(self) -> None:
        """If a site is being served, run the jobs for the new one before Compose replaces anything."""
        if not self.project.containers("app", "running"):
            return
        goes_on = "and the site goes on as it was"
        self.project.start_for_jobs(f"{{services}} could not be started, {goes_on}: {{last}}")
        for job in self.project.jobs:
            with step(
                "Preparing what runs already", f"{job} refuses the change, {goes_on}: {{last}}"
            ):
                self.project.once(job)

    # -- the start

    def start(self) -> None:
        """Start all services; raise ``Failure`` naming the service that is not well, and why."""
        try:
            with step(
                "Starting init, app and nginx", "the stack did not start: the lines above say why."
            ):
                try:
                    self.project.compose(
                        "up", "--wait", "--wait-timeout", "150", "--remove-orphans"
                    )
                except CommandFailed as error:
                    said = error.output
                    raise
        except Failure:
            if "port is already allocated" in said or "address already in use" in said:
                self.refuse_port(self.port)
            for service in self.project.services:
                for container in self.project.containers(service)[:1]:
                    refuse_ill(service, container, service in self.project.jobs)
            raise

    def look(self) -> None:
        """
        Raise ``Failure`` unless the front page can be fetched: healthy parts do not prove a working chain.

        The request goes through the published port, as a visitor's does. With HTTPS, nginx's answer to plain
        HTTP on that port is enough.
        """
        connection = http.client.HTTPConnection(self.address, self.port, timeout=60)
        host = self.url.partition(",")[0].partition("://")[2]
        status: object = "none"
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
            status = connection.getresponse().status
        if status == "none" or int(str(status)) >= 500:
            for service in ("app", "nginx"):
                show(run("docker", "logs", "--tail=5", self.project.newest(service).id))
            raise Failure(
                f"the services are healthy, but the page is not there (answer: {status}):"
                " the lines above, from the logs of app and nginx, say why."
            )

    def say_what_is_next(self) -> None:
        """Print the next steps for the user."""
        # With compose/emperor.yaml, the container's own user is root without capabilities.
        user = "--user 10001:10100 " if "vassals" in self.project.services else ""
        print(
            f"\nThe site is up: {self.url}\n\n"
            f"  create an administrator    docker compose exec {user}app python manage.py createsuperuser\n"
            f"  and log in                 {self.url.partition(',')[0]}/admin/\n"
            "  watch the log              docker compose logs --follow\n"
            "  run the tests              scripts/test\n"
            "  stop; data is kept         scripts/down"
        )


def refuse_ill(service: str, container: Container, is_job: bool) -> None:
    """Raise ``Failure`` with the last log lines of a container that is not well."""
    found = container.inspect()
    state: dict[str, Any] = found["State"]
    health = (state.get("Health") or {}).get("Status", "")
    if is_job:
        if state["Status"] == "created" or state["ExitCode"] == 0:
            return
        log = run("docker", "logs", container.id).splitlines()
        show("\n".join(log[-5:]))
        raise Failure(
            f'the service "{service}" failed, so the site was not started: {(log or [""])[-1]}'
        )
    if state["Status"] == "created" or (state["Status"], health) in (
        ("running", "healthy"),
        ("running", ""),
    ):
        return
    # In a crash loop, the next start may be under way: 100 lines still include the end of the last run.
    show(run("docker", "logs", "--tail=100", container.id))
    for check in ((state.get("Health") or {}).get("Log") or [])[-1:]:
        show(f"health check: {check['Output'].strip()}", prefix="    ")
    raise Failure(
        f'the service "{service}" did not become healthy'
        f" ({state['Status']}, {health}, exit code {state['ExitCode']}):"
        " the lines above, from its log, say why."
    )


def main() -> None:
    """Build, start and check the stack; scripts/up has already made sure of the engine and the base image."""
    site = Site()
    with only_one(site.project):
        site.refuse_taken_ports()
        site.refuse_full_disk()
        site.project.build()
        site.prepare()
        site.start()
        site.look()
        site.say_what_is_next()


if __name__ == "__main__":
    sys.exit(script("scripts/up", main))
