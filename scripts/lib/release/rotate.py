"""Give the running site another secret key, or let the older ones go: what scripts/rotate-secret-key does."""

import sys

from release.project import Project, only_one
from release.reload import reload_workers, running_app
from release.terminal import CommandFailed, Failure, say, script, step


def main() -> None:
    """Do what the one argument says, "rotate" or "forget"; raise ``Failure`` with what there is instead."""
    project = Project()
    with only_one(project):
        app = running_app(project)
        try:
            said = app.tell(sys.argv[1])
        except CommandFailed as error:
            raise Failure(f"the secret key is as it was: {error.last()}") from None
        # New workers read the new file; the old ones finish what they are answering.
        with step(
            "Reloading the workers",
            f"{said}, but the site did not load it: the lines above, from its log, say why.",
        ):
            reload_workers(app)
    say(f"The site works with it: {said}.")


if __name__ == "__main__":
    sys.exit(script("scripts/rotate-secret-key", main))
