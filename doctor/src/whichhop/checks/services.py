"""Check the project's other services, on which no request depends: are all up that should be?"""

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
    """Yield each long-running service that is not up, except nginx and the app, which have hops of their own."""
    services = site.stack.definition["services"]
    judged = site.services | {job for name in services for job in jobs(services, name)}
    for service in sorted({*services} - judged):
        state = site.service(service).state
        if _should_be_up(site, service, state) and not _is_up(state):
            lines = site.service(service).last_lines()
            yield CAUSES.broken(site, "service-not-up", *lines, service=service, state=state)


def blind(site: Site) -> Iterator[Finding]:
    """Yield nginx or the app if its log is not kept."""
    for service in (site.nginx, site.app):
        if service.state.status != "missing" and not service.has_log:
            yield CAUSES.warning(site, "no-log", service=service)


def _should_be_up(site: Site, service: str, state: State) -> bool:
    """Return whether a service should be up: it has a restart policy, or did not exit successfully."""
    if state.status == "missing":
        return False  # its profile is not enabled, or it was never started
    policy = site.service(service).attributes["HostConfig"]["RestartPolicy"]["Name"]
    return (
        policy in ("always", "unless-stopped") or state.status != "exited" or state.exit_code != 0
    )


def _is_up(state: State) -> bool:
    return state.running and not state.keeps_ending and state.health != "unhealthy"
