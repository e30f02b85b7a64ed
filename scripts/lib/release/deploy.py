"""
Replace the running release with a new one without dropping a request: what scripts/deploy does.

``Release.deploy`` follows docs/operations.md step by step. Until visitors reach the new release, any failure
rolls back to the old one; after that, there is no way back.
"""

import argparse
import contextlib
import shlex
import sys

from release.project import (
    SEVERAL_SITES,
    Container,
    Project,
    alike,
    command,
    inspect_image,
    only_one,
    same_image,
)
from release.terminal import (
    CommandFailed,
    Failure,
    Interrupted,
    ask,
    heed_signals,
    ignore_signals,
    reason_for,
    run,
    say,
    script,
    step,
    wait_until,
)

# Where nginx keeps its configurations, and its verdict on each (nginx/configure.sh, entrypoint.sh).
CONFIGURATION = "/srv/nginx/current"
VERDICT = "/run/nginx/verdict"

# In a session of its own, so that a service is not left without a container if this script is killed; restart
# "always", in case of a power cut between the two.
SWAP = """
docker update --restart=always OLD
docker stop OLD && { docker start NEW || { docker start OLD; exit 1; }; }
"""

NOT_WELL = "{last} does not run as it should: the lines above, from its log, say why."


class Release:
    """One attempt to replace the running release. It records its progress, which determines how to roll back."""

    def __init__(self, project: Project, timeout: int) -> None:
        self.project = project
        self.timeout = timeout
        # The running release.
        self.app = self.nginx = Container("")
        self.images: dict[str, str] = {}  # id by name
        self.others: dict[Container, bool] = {}  # with whether each runs
        self.configuration = ""
        # The progress of this attempt.
        self.ran_jobs = False
        self.candidate: Container | None = None
        self.nginx_candidate: Container | None = None
        self.replaced: list[Container] = []
        self.changed_in_place = False

    def deploy(self, rollback: bool) -> None:
        """Deploy; raise ``Failure`` if the old release keeps serving, or the new one serves but a later step failed."""
        self.find_what_serves()
        try:
            if rollback:
                self.take_the_release_before()
            else:
                self.build()
            self.check()
            self.run_jobs()
            self.create_candidate()
            self.wait_until_ready()
            self.replace_other_services()
            self.apply_nginx_config()
            self.replace_nginx()
        except BaseException as end:
            self.go_back()
            if not isinstance(end, Failure | CommandFailed | Interrupted):
                raise
            said = reason_for(end).removesuffix(".")
            raise Failure(f"{said}. The old release goes on.") from None
        try:
            self.remember()
            self.retire_the_old_one()
        except Interrupted:
            raise Failure(
                "it was interrupted, but the new release serves: run this again to remove the old one."
            ) from None
        self.say_what_came_of_it(rollback)

    # -- what serves now

    def find_what_serves(self) -> None:
        """Find the serving containers, and remove what an interrupted deploy left; raise ``Failure`` if none serve."""
        project = self.project
        if "vassals" in project.services:
            raise Failure(SEVERAL_SITES)
        self.wait_for_jobs()
        apps = project.containers("app", "running", "restarting")
        nginxes = project.containers("nginx", "running")
        if not apps or not nginxes:
            raise Failure("no site is running that could be replaced: start it with scripts/up.")
        if not project.containers("nginx-config"):
            raise Failure(
                "what serves is from before nginx had its configuration on a volume:"
                " put this release in its place with scripts/up, once."
            )
        self.nginx = nginxes[0]
        self.app = next((app for app in reversed(apps) if app.does("serves")), apps[-1])
        self.images = self.images_that_serve()
        for container in [*project.containers("app"), *project.containers("nginx")]:
            if container in (self.app, self.nginx):
                continue
            if container in apps[apps.index(self.app) + 1 :]:  # older: self.app has replaced it
                self.name_images(
                    "previous", self.images | {self.project.app_image: container.image}
                )
            with step(
                "Removing what an interrupted deploy left",
                "it could not be removed: the lines above say why.",
            ):
                retire(container)
        for service in project.other_services:
            if project.containers(service):
                project.create(service)  # removes surplus containers
            running = project.containers(service, "running", "restarting")
            self.others |= {each: each in running for each in project.containers(service)}

    def wait_for_jobs(self) -> None:
        """Wait for jobs that still run because the script that started them was killed, then remove them."""
        label = f"label=com.docker.compose.project={self.project.name}"
        oneoff = "label=com.docker.compose.oneoff=True"
        run("docker", "container", "prune", "--force", "--filter", label, "--filter", oneoff)
        for job in self.project.jobs:
            service = f"label=com.docker.compose.service={job}"
            at_work = ask("docker", "ps", "--quiet", "--filter", label, "--filter", service)
            for id in at_work.split():
                run("docker", "wait", id)

    def images_that_serve(self) -> dict[str, str]:
        """Return, by name, the id of each locally built image that its newest container runs."""
        serving = {"app": self.app, "nginx": self.nginx}
        images = {}
        for name, service in self.project.built.items():
            for container in self.project.containers(service)[:1]:
                images[name] = serving.get(service, container).image
        return images

    def name_images(self, tag: str, images: dict[str, str]) -> None:
        for name, id in images.items():
            run("docker", "tag", id, f"{name}:{tag}")

    # -- the new release, up to where visitors would notice

    def build(self) -> None:
        """Build the images. If one is the same as the running one, the running one keeps the name."""
        self.project.build()
        for name, id in self.images.items():
            if same_image(inspect_image(id), inspect_image(name)):
                run("docker", "tag", id, name)
        self.project.fit()

    def take_the_release_before(self) -> None:
        """Give the images of the release before the names that Compose starts."""
        for name in [self.project.app_image, *self.images]:
            try:
                run("docker", "tag", f"{name}:previous", name)
            except CommandFailed:
                if name == self.project.app_image:
                    raise Failure("there is no release before this one to go back to.") from None
                # The release before had no image of that name, or its scripts did not keep it.
        self.project.fit()
        created = inspect_image(self.project.app_image)["Created"]
        say(f"  Going back to the release built at {created[:16]}")

    def check(self) -> None:
        """Let Django, uWSGI and nginx check the new release before anything changes."""
        with step("Checking the new app", "the new release does not pass its checks: {last}"):
            # One container for both checks: uWSGI only checks its configuration and starts nothing.
            labels = inspect_image(self.project.app_image)["Config"]["Labels"]
            words = [shlex.join(command(labels, word)) for word in ("check", "check-uwsgi")]
            self.project.once("init", "bash", "-c", " && ".join(words))
        with step(
            "Checking the new nginx", "the new nginx refuses its configuration: {last}", of="emerg"
        ):
            self.project.once("--env", "CHECK_ONLY=yes", "nginx-config")

    def run_jobs(self) -> None:
        """Run the jobs that precede a start: migrations, static files and others."""
        self.ran_jobs = True
        self.project.start_for_jobs("{services} could not be started: {last}")
        for job in self.project.jobs:
            if job == "nginx-config":  # applied only after the new app is promoted
                continue
            with step(f"Running {job}", f"{job} failed: {{last}}", of=f"{job}: "):
                self.project.once(job)

    def create_candidate(self) -> None:
        """Create a new app container beside the old one, unless it would be the same."""
        self.candidate = self.create_beside(self.app, "app")

    def create_beside(self, old: Container, service: str) -> Container | None:
        """Create a second container of a service; return ``None`` if it would be the same as the old one."""
        try:
            candidate = self.project.create_beside(service)
        except CommandFailed as error:
            raise Failure(f"the new container could not be made: {error.last()}") from None
        if not alike(old, candidate):
            return candidate
        candidate.remove()
        return None

    def wait_until_ready(self) -> None:
        """Start the candidate and wait until it is healthy; it promotes itself as soon as it answers."""
        candidate = self.candidate
        if not candidate:
            return
        candidate.start()
        with step(
            "Waiting until the new app answers and takes over",
            "the new app does not answer: the lines above, from its log, say why.",
        ):
            candidate.wait_until_well(self.timeout)
            wait_until(lambda: candidate.does("serves"), 10, "it did not take the socket over")

    def replace_other_services(self) -> None:
        """Replace each other service that changed, and wait until all are well."""
        services = [each for each in self.project.other_services if not self.has_fixed_name(each)]
        for service in services:
            try:
                self.replace(service)
            except CommandFailed as error:
                raise Failure(f"{service} could not be replaced: {error.last()}") from None
        if services:
            with step(f"Waiting until {', '.join(services)} run", NOT_WELL):
                for service in services:
                    self.wait_for(service)

    def has_fixed_name(self, service: str) -> bool:
        """Return whether a service has a ``container_name``, and so can have only one container."""
        return "container_name" in self.project.services[service]

    def replace(self, service: str) -> None:
        """
        Stop a service's containers and start new ones from :latest and ``.env``, unless nothing changed.

        Old and new never run together: some services, such as two servers of one database, cannot.
        """
        old = self.project.containers(service)
        if not old:
            self.project.create(service)
            new = self.project.containers(service)
        else:
            new = self.project.create_candidates(service)
            if alike(old[0], new[0]):
                for container in new:
                    container.remove()
                new = old
            else:
                self.replaced += old
                swap(old, new)
        for container in new:
            container.start()

    def wait_for(self, service: str) -> None:
        """Wait until a service's containers are well; else raise ``CommandFailed`` with its name and last log lines."""
        for container in self.project.containers(service):
            if container not in self.replaced:
                try:
                    container.wait_until_well(self.timeout)
                except CommandFailed as error:
                    raise CommandFailed(f"{error.output}\n{service}") from None

    def apply_nginx_config(self) -> None:
        """Make nginx load its configuration for these settings, if it differs."""
        self.configuration = self.nginx.execute("readlink", CONFIGURATION)
        with step(
            "Giving nginx its configuration",
            "nginx does not take its configuration: the lines above say why.",
        ):
            self.configure_nginx("nginx-config")

    def configure_nginx(self, *command: str) -> None:
        """Run the job that changes the configuration, and wait for the verdict of nginx, which tests it again."""
        self.project.once(*command)
        now = self.nginx.execute("readlink", CONFIGURATION)
        wait_until(lambda: now in self.verdict(), 30, "nginx says nothing of it")
        if "loaded" not in self.verdict():
            raise CommandFailed(run("docker", "logs", "--tail=5", self.nginx.id))

    def verdict(self) -> list[str]:
        """Return nginx's latest verdict: "loaded" or "refused", and on which configuration."""
        return self.nginx.execute("cat", VERDICT).split()

    def replace_nginx(self) -> None:
        """Replace nginx if its image or ports changed. There is a gap: two containers cannot share a port."""
        old, new = self.nginx, self.create_beside(self.nginx, "nginx")
        self.nginx_candidate = new
        if not new:
            return
        ignore_signals()  # no rollback during the swap, which takes as long as the slowest request
        with step(
            "Replacing nginx",
            "the new nginx does not work: the lines above, from its log, say why.",
        ):
            swap([old], [new])
            try:
                new.wait_until_well(self.timeout)
            except CommandFailed:
                swap([new], [old])
                raise
        self.nginx = new
        old.remove()
        heed_signals()

    # -- the way back

    def go_back(self) -> None:
        """Roll back, from any step: the old release serves, and Compose would start it."""
        ignore_signals()
        self.name_images("latest", self.images)
        self.project.fit()
        # Also containers that were created but not recorded here, as when Ctrl-C came just then.
        for nginx in self.project.containers("nginx"):
            if nginx != self.nginx:
                nginx.remove()
        for app in self.project.containers("app"):
            if app == self.app:
                continue
            if not app.does("serves"):
                app.remove()
                continue
            with contextlib.suppress(Failure), step("Going back to the old release", ""):
                self.app.tell("promote")
                retire(app)
        with contextlib.suppress(CommandFailed):
            self.bring_back_other_services()
        if self.configuration not in ("", self.nginx.execute("readlink", CONFIGURATION)):
            with contextlib.suppress(Failure), step("Bringing back the configuration of nginx", ""):
                link = ("ln", "nginx-config", "--symbolic", "--force", "--no-target-directory")
                self.configure_nginx("--entrypoint", *link, self.configuration, CONFIGURATION)
        if self.ran_jobs:
            # Static files without a hash in their names, such as robots.txt, are still the new release's.
            with contextlib.suppress(Failure), step("Bringing back its static files", ""):
                self.project.once("init")
        self.project.prune_images()

    def bring_back_other_services(self) -> None:
        """Remove the new containers, and start those that ran before."""
        for service in self.project.other_services:
            for container in self.project.containers(service):
                if container not in self.others:
                    container.remove()
        for container in self.others:
            if self.others[container]:
                container.start()

    # -- the new release serves: from here on, there is only forward

    def remember(self) -> None:
        """Keep the images of the old release for --rollback, unless they are still in use."""
        if any(inspect_image(name)["Id"] != id for name, id in self.images.items()):
            self.name_images("previous", self.images)

    def retire_the_old_one(self) -> None:
        """Let the old app finish its requests, and remove the replaced containers."""
        if self.candidate:
            with step(
                "Letting the old app finish",
                "the new release serves, but the old app could not be removed: run this again.",
            ):
                retire(self.app)
        for container in self.replaced:
            container.remove()
        # Create the jobs without running them: they have run. One by one, or Compose would replace with init
        # everything that depends on it.
        for job in self.project.jobs:
            self.replace_in_place(job)
        for service in self.project.other_services:
            if self.has_fixed_name(service):
                before = self.project.containers(service)
                self.replace_in_place(service)
                self.changed_in_place |= before != self.project.containers(service)
                self.project.newest(service).start()
                with step(
                    f"Waiting until {service} runs", f"the new release serves, but {NOT_WELL}"
                ):
                    self.wait_for(service)
        self.project.prune_images()

    def replace_in_place(self, service: str) -> None:
        """Let Compose replace a service's container if it changed, without starting it."""
        try:
            self.project.compose("create", "--no-build", service)
        except CommandFailed as error:
            raise Failure(
                f"the new release serves, but {service} could not be replaced: {error.last()}"
            ) from None

    def say_what_came_of_it(self, rollback: bool) -> None:
        """Print the result in one line."""
        replaced = [self.candidate, self.nginx_candidate, *self.replaced, self.changed_in_place]
        configuration = self.nginx.execute("readlink", CONFIGURATION)
        if not any(replaced) and configuration == self.configuration:
            say("Nothing has changed: what you have here is what serves.")
        elif rollback:
            say(
                "The release before serves again."
                " Once more, and the newer one is back: scripts/deploy --rollback"
            )
        else:
            say("The new release serves. To go back: scripts/deploy --rollback")


def retire(app: Container) -> None:
    """Let an app that gets no new requests finish its current ones, then remove it."""
    run("docker", "update", "--restart=no", app.id)  # it must not restart and take the socket
    # If draining fails, for example because uWSGI does not run, the stop is as graceful as possible.
    app.does("drain")
    run("docker", "stop", app.id)
    app.remove()


def swap(old: list[Container], new: list[Container]) -> None:
    """Stop some containers and start others instead; raise ``CommandFailed`` if the old ones keep running."""
    ids = (" ".join(each.id for each in some) for some in (old, new))
    run("setsid", "--wait", "sh", "-c", SWAP.replace("OLD", next(ids)).replace("NEW", next(ids)))


def main() -> None:
    """Run a deploy with these arguments, which scripts/deploy has checked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rollback", action="store_true")
    parser.add_argument("--timeout", type=int, default=60)
    options = parser.parse_args()
    project = Project()
    with only_one(project):
        Release(project, options.timeout).deploy(options.rollback)


if __name__ == "__main__":
    sys.exit(script("scripts/deploy", main))
