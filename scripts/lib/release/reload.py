"""Make the running app pick up changed code by reloading its workers: what scripts/reload does."""

import argparse
import contextlib
import stat
import sys
import time
from pathlib import Path

from release.project import SEVERAL_SITES, Container, Project, alike, only_one
from release.terminal import CommandFailed, Failure, Interrupted, run, say, script, step

DEADLINE = 120  # seconds for the slowest current request plus a start of the site


def running_app(project: Project) -> Container:
    """Return the app's container; raise ``Failure`` if none runs, or if it runs several sites."""
    if "vassals" in project.services:
        raise Failure(SEVERAL_SITES)
    if not (apps := project.containers("app", "running")):
        raise Failure("the site does not run: start it with scripts/up first.")
    return apps[0]


def reload(project: Project) -> None:
    """Check the code, migrate, and reload; raise ``Failure`` if the old code keeps running."""
    app = running_app(project)
    try:
        spare = project.create_beside("app")
        same = alike(app, spare)
        spare.remove()
    except CommandFailed as error:
        raise Failure(f"the settings could not be compared: {error.last()}") from None
    if not same:
        raise Failure(
            "the settings or the images are others than those that the app was started with,"
            " and a reload cannot change them: use scripts/deploy."
        )
    with step("Checking the code", "the new code does not work, and the old one goes on: {last}"):
        app.tell("check")
    project.start_for_jobs("{services} could not be started, and the old code goes on: {last}")
    with step("Running init", "init failed, and the old code goes on: {last}"):
        project.once("init")
    with step(
        "Reloading the workers",
        "the site did not come back as it should: the lines above, from its log, say why.",
    ):
        reload_workers(app)


def reload_workers(app: Container) -> None:
    """
    Reload the app (SIGHUP) while each worker is between two requests; wait until it answers.

    Raise ``CommandFailed`` with its last log lines if the reload does not succeed.
    """
    before = set(app.tell("workers").split())
    started = app.inspect()["State"]["StartedAt"]
    deadline = time.monotonic() + DEADLINE
    app.tell("pause")
    run("docker", "kill", "--signal", "HUP", app.id)
    while not has_new_workers(app, before):
        if app.inspect()["State"]["StartedAt"] != started or time.monotonic() > deadline:
            raise CommandFailed(run("docker", "logs", "--tail=15", app.id))
        time.sleep(0.2)


def has_new_workers(app: Container, before: set[str]) -> bool:
    """Return whether all the old workers are gone and the app answers."""
    try:
        now = set(app.tell("workers").split())
    except CommandFailed:
        return False
    return bool(now) and not now & before and app.does("healthcheck")


def state_of_code() -> list[tuple[str, int, int]]:
    """Return name, size and mtime of each file in mysite/, which differ after any change."""
    state = []
    for path in sorted(Path("mysite").rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # an editor's temporary file, already gone
            found = path.stat()
            if stat.S_ISREG(found.st_mode) and path.suffix != ".pyc":
                state.append((str(path), found.st_size, found.st_mtime_ns))
    return state


def watch(project: Project) -> None:
    """Reload after each change, until Ctrl-C; raise ``Failure`` if the code is in the image."""
    mounts = project.services["app"].get("volumes") or []
    if not any(mount["target"] == "/app" for mount in mounts):
        raise Failure(
            "the code is in the image here: add compose/dev.yaml to COMPOSE_FILE in .env,"
            " run scripts/up, then this again."
        )
    before = state_of_code()
    say("Watching mysite/; Ctrl-C ends it.")
    while True:
        time.sleep(1)
        if (now := state_of_code()) != before:
            before = now
            try:
                project = Project()
                with only_one(project):
                    reload(project)
            except Failure as failure:
                say(f"\nscripts/reload: {failure}")


def main() -> None:
    """Reload once, or after each change; scripts/reload has checked the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--watch", action="store_true")
    if parser.parse_args().watch:
        with contextlib.suppress(Interrupted):
            watch(Project())
    else:
        project = Project()
        with only_one(project):
            reload(project)


if __name__ == "__main__":
    sys.exit(script("scripts/reload", main))
