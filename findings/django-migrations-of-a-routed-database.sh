#!/usr/bin/env bash
# A database router that keeps an app away from a database: migrate records the app's migrations there as done.
#
# Version: Django 5.2.19
# Good guess: what allow_migrate() refuses is not migrated, so it is not recorded and can be made up for when the
# router changes.
# Seen: migrate --database=other lists "auth.0001_initial... OK" and all the others, django_migrations in that
# database has their rows, and there is no table. After the router allows it, migrate finds nothing to apply and fails
# in the end itself, in what it does after migrations: "no such table: django_content_type".
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet django==5.2.19
cd "$work"

cat >try.py <<'PY'
from django.conf import settings


class Router:
    allowed = False

    def allow_migrate(self, db, app_label, **hints):
        return db == "default" or self.allowed


sqlite = {"ENGINE": "django.db.backends.sqlite3"}
settings.configure(
    USE_TZ=True,
    DATABASES={"default": {**sqlite, "NAME": "default.db"}, "other": {**sqlite, "NAME": "other.db"}},
    DATABASE_ROUTERS=["__main__.Router"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
)
import django

django.setup()
from django.core.management import call_command
from django.db import OperationalError, connections
from django.db.migrations.recorder import MigrationRecorder

call_command("migrate", database="other", verbosity=0)
recorded = MigrationRecorder(connections["other"]).applied_migrations()
print(("auth", "0001_initial") in recorded, connections["other"].introspection.table_names())
Router.allowed = True
try:
    call_command("migrate", database="other", verbosity=0)
except OperationalError as error:
    print(error)
PY
seen=$(venv/bin/python try.py)
[ "$seen" = $'True [\'django_migrations\']\nno such table: django_content_type' ] || changed "recorded, tables, second migrate: ${seen//$'\n'/; }."
echo "as seen: ${seen//$'\n'/; }."
