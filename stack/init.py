"""
The one-shot job before every start: secret key, directories, database, static files, checks.

Each step may be repeated at any time. When one fails, this says so in one sentence, exits 1, and
neither the site nor nginx is started (compose.yaml).

``stack check`` only judges: settings, checks, and whether the site can be imported. scripts/deploy
asks so before anything changes, scripts/reload before the workers change.
"""

import filecmp
import os
import re
import shutil
import sys
import time
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError
from django.core.management.base import SystemCheckError
from django.db import DatabaseError

from . import env, paths, secret_key
from .backup import kept, restore
from .fsync import sync


def make_media_directories() -> None:
    """Create the directories of the uploads; remove what interrupted uploads left behind."""
    from . import timeouts  # reads a variable that has to be checked first

    for directory in (paths.PUBLIC, paths.PRIVATE, paths.UNFINISHED):
        directory.mkdir(mode=0o750, exist_ok=True)
    for file in paths.UNFINISHED.iterdir():
        # No request lives much longer than the timeout, so nobody is still writing an older file.
        if file.stat().st_mtime < time.time() - timeouts.UNFINISHED:
            file.unlink()


def publish(source: Path, target: Path) -> None:
    """Copy ``source`` to ``target``; a reader sees the old file or the new one, never half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.new")
    shutil.copy2(source, temporary)
    sync(temporary)  # or else a power cut leaves an empty file under a name that browsers keep
    temporary.replace(target)


def refresh_static(collected: Path) -> None:
    """
    Copy the image's collected static files to the volume that nginx serves.

    Nothing is deleted: a page rendered before a deploy still asks for the older hashed names. The
    manifest stays behind: it is for Django, which reads the one in its own image.
    """
    refreshed = 0
    changed = set()
    for source in collected.rglob("*"):
        target = paths.STATIC / source.relative_to(collected)
        if source.is_dir() or source.name == "staticfiles.json":
            continue
        if not (target.exists() and filecmp.cmp(source, target, shallow=False)):
            publish(source, target)
            refreshed += 1
            changed.add(target.parent)
        for suffix in (".gz", ".br"):
            # nginx would go on sending the compressed form of an older release.
            if not source.with_name(source.name + suffix).exists():
                target.with_name(target.name + suffix).unlink(missing_ok=True)
    for directory in changed:
        sync(directory)
    print(f"init: {refreshed} static files refreshed", flush=True)


def check() -> None:
    """Raise ``CommandError`` with what Django's system checks say of the site, if anything."""
    from django.conf import settings
    from django.core.management import call_command

    # Warnings stop the start too: plain "check --deploy" exits 0 with them.
    deploy = not settings.DEBUG
    try:
        call_command("check", deploy=deploy, fail_level="WARNING" if deploy else "ERROR")
    except SystemCheckError as error:
        found = sorted({*re.findall(r"\(([\w.-]+\.[CEIW]\d+)\)", str(error))})
        print(error, file=sys.stderr)
        raise CommandError(
            f"Django's checks found {', '.join(found) or 'something'}: the lines above say what to do; a"
            " warning that is none here goes into SILENCED_SYSTEM_CHECKS in the settings."
        ) from None


def check_migrations() -> None:
    """
    Raise ``CommandError`` when models of the site's own apps differ from what their migrations make.

    As ``makemigrations --check``, without a database; but not for installed packages, whose migrations are
    their authors' to write. An app without the package ``migrations`` counts: its tables are never made.
    """
    from django.apps import apps
    from django.conf import settings
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.state import ProjectState

    own = {
        app.label
        for app in apps.get_app_configs()
        if not Path(app.path).is_relative_to(sys.prefix)
        and settings.MIGRATION_MODULES.get(app.label, "") is not None
    }
    loader = MigrationLoader(None)
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))
    changes = detector.changes(loader.graph, trim_to_apps=own, convert_apps=own)
    if lacking := sorted(own & changes.keys()):
        raise CommandError(
            f"models have changed without a migration in {', '.join(lacking)}:"
            f' run "manage.py makemigrations {" ".join(lacking)}", and add what it writes.'
        )


def judge() -> None:
    """Import the site as uWSGI will, and check it; changes nothing. Raises what the site raises."""
    from django.conf import settings
    from django.utils.module_loading import import_string

    import_string(settings.WSGI_APPLICATION)
    check()
    check_migrations()


def main() -> None:
    """Run the steps in order. Raises what a step raises."""
    env.read(os.environ)
    os.umask(0o027)
    if restore.finish():
        print("init: finished a restore that was interrupted", flush=True)
    restore.tidy()
    if secret_key.make():
        print("init: made a new secret key", flush=True)
    kept.make_id()

    # From here on with the site's settings.
    import django
    from django.core.management import call_command

    make_media_directories()
    django.setup()
    call_command("migrate", interactive=False)
    refresh_static(paths.COLLECTED)
    check()


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["--check"]:
            judge()
        else:
            main()
    except (
        OSError, env.SettingError, ImproperlyConfigured, DatabaseError, CommandError
    ) as error:  # fmt: skip
        sys.exit(f"init: {error}")
