"""Releases of the site for the tests: copies of the project with tests/release added as an app."""

import shutil
from pathlib import Path

from tests.conftest import ROOT


def add_app(directory: Path) -> None:
    """Add the app to the site in a copy of the project, as a user would."""
    shutil.copytree(ROOT / "tests" / "release", directory / "mysite" / "release")
    settings = directory / "mysite" / "mysite" / "settings.py"
    settings.write_text(
        settings.read_text().replace("INSTALLED_APPS = [", 'INSTALLED_APPS = [\n    "release",', 1)
    )
    # It takes most of a build's time, and no test here depends on it.
    (directory / "stack" / "compress.py").write_text("")
    with (directory / "mysite" / "mysite" / "urls.py").open("a") as file:
        file.write('\nurlpatterns.insert(0, path("release/", include("release.urls")))\n')


def name_release(directory: Path, name: str) -> None:
    """Turn a copy of the project into a new release."""
    (directory / "mysite" / "release" / "name.py").write_text(f"NAME = {name!r}\n")
