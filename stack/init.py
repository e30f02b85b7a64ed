"""
The one-shot job before every start: secret key, directories, database, static files, checks.

Each step may be repeated at any time. If one fails, the job says so in one sentence and exits with 1, and
neither the site nor nginx is started (compose.yaml).

``stack check`` changes nothing: it runs the checks and tests whether the site can be imported. scripts/deploy runs
it before anything changes, scripts/reload before the workers do.
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
    """Create the upload directories; remove what interrupted uploads have left."""
    from . import timeouts  # reads a variable that must be checked first

    for directory in (paths.PUBLIC, paths.PRIVATE, paths.UNFINISHED):
        directory.mkdir(mode=0o750, exist_ok=True)
    for file in paths.UNFINISHED.iterdir():
        # No request lives much longer than the timeout, so older files are no longer being written.
        if file.stat().st_mtime < time.time() - timeouts.UNFINISHED:
            file.unlink()


def publish(source: Path, target: Path) -> None:
    """Copy ``source`` to ``target`` atomically: a reader sees the old file or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.new")
    shutil.copy2(source, temporary)
    sync(temporary)  # or a power cut could leave an empty file under a name that browsers cache
    temporary.replace(target)


def refresh_static(collected: Path) -> None:
    """
    Copy the image's collected static files to the volume that nginx serves.

    Nothing is deleted: pages rendered before a deploy still refer to the older hashed names. The
    manifest is not copied: Django reads the one in its own image.
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
            # Otherwise nginx would still send the compressed copy of an older release.
            if not source.with_name(source.name + suffix).exists():
                target.with_name(target.name + suffix).unlink(missing_ok=True)
    for directory in changed:
        sync(directory)
    print(f"init: {refreshed} static files refreshed", flush=True)


def check() -> None:
    """Run Django's system checks; raise ``CommandError`` with their messages, if any."""
    from django.conf import settings
    from django.core.management import call_command

    # Warnings fail, too: plain "check --deploy" exits with 0 despite them.
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
    Raise ``CommandError`` if models of the site's own apps differ from their migrations.

    Like ``makemigrations --check``, but without a database and not for installed packages, whose authors write the
    migrations. Apps without a package ``migrations`` are included: their tables would never be created.
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
    """Import the site as uWSGI will, and check it; change nothing. Raise what the site raises."""
    from django.conf import settings
    from django.utils.module_loading import import_string

    import_string(settings.WSGI_APPLICATION)
    check()
    check_migrations()


def main() -> None:
    """Run the steps in order; raise what a step raises."""
    env.read(os.environ)
    os.umask(0o027)
    if restore.finish():
        print("init: finished a restore that was interrupted", flush=True)
    restore.tidy()
    if secret_key.make():
        print("init: made a new secret key", flush=True)
    kept.make_id()

    # From here on, the site's settings are needed.
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
