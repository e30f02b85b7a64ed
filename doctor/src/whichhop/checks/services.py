"""The other services of the project, on which no request depends: is each up that should be?"""

from collections.abc import Iterator

from whichhop.finding import Cause, Causes, Finding, command, config
from whichhop.target.service import State, jobs
from whichhop.target.site import Site

CAUSES = Causes(
    {
        "no-log": Cause(
            "chain",
            "nothing in docker compose logs",
            "The engine keeps no log of {service} (logging: driver: none): failures that only a log knows"
            " stay unseen.",
            config(
                "logging: {{driver: json-file, options: {{max-size: 10m, max-file: '3'}}}} of {service}"
            ),
        ),
        "service-not-up": Cause(
            "chain",
            "pages work; what the service does is not done",
            "The service {service} is not up ({state}).",
            command(
                "its log says why: docker compose logs {service}; then docker compose up --wait"
            ),
        ),
    }
)


def not_up(site: Site) -> Iterator[Finding]:
    """Yield each long-running service that is not up, but for nginx and the app, which hops judge."""
    services = site.stack.definition["services"]
    judged = site.services | {job for name in services for job in jobs(services, name)}
    for service in sorted({*services} - judged):
        state = site.service(service).state
        if _should_be_up(site, service, state) and not _is_up(state):
            lines = site.service(service).last_lines()
            yield CAUSES.broken(site, "service-not-up", *lines, service=service, state=state)


def blind(site: Site) -> Iterator[Finding]:
    """Yield each service of a request whose log nobody keeps."""
    for service in (site.nginx, site.app):
        if service.state.status != "missing" and not service.has_log:
            yield CAUSES.warning(site, "no-log", service=service)


def _should_be_up(site: Site, service: str, state: State) -> bool:
    """Return whether a service is no job: it is started again when it ends, or did not end well."""
    if state.status == "missing":
        return False  # of a profile that nobody asked for, or never started
    policy = site.service(service).attributes["HostConfig"]["RestartPolicy"]["Name"]
    return (
        policy in ("always", "unless-stopped") or state.status != "exited" or state.exit_code != 0
    )


def _is_up(state: State) -> bool:
    return state.running and not state.keeps_ending and state.health != "unhealthy"
