"""Give the running site a new secret key, or drop the older ones: what scripts/rotate-secret-key does."""

import sys

from release.project import Project, only_one
from release.reload import reload_workers, running_app
from release.terminal import CommandFailed, Failure, say, script, step


def main() -> None:
    """Run "rotate" or "forget", the one argument; raise ``Failure`` if it cannot be done."""
    project = Project()
    with only_one(project):
        app = running_app(project)
        try:
            said = app.tell(sys.argv[1])
        except CommandFailed as error:
            raise Failure(f"the secret key is as it was: {error.last()}") from None
        # New workers read the new file; the old ones finish their requests.
        with step(
            "Reloading the workers",
            f"{said}, but the site did not load it: the lines above, from its log, say why.",
        ):
            reload_workers(app)
    say(f"The site works with it: {said}.")


if __name__ == "__main__":
    sys.exit(script("scripts/rotate-secret-key", main))
