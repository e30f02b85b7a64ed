#!/usr/bin/env bash
# Django's tasks: the same call gets a dictionary with numbers as keys in development, and with texts in production.
#
# Versions: Django 6.1.3, django-tasks-db 0.13.0
# Good guess: arguments that enqueue() accepts arrive alike with every backend.
# Seen: enqueue({1: "one"}, (2, 3), b"four"): ImmediateBackend calls the function with {1: 'one'}, [2, 3] and 'four'
# (a tuple has become a list, bytes a text); the database backend, after JSON, with {'1': 'one'}. So
# prices[product.pk] works until the day of the deploy. A date, a Decimal or a set is a TypeError at enqueue() in
# both.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
cd "$work"
python3 -m venv venv
python=(venv/bin/python)
if ! venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
    # Django 6 needs a newer Python: Debian 13's, with its own C library.
    packages=(python3.13-minimal libpython3.13-minimal libpython3.13-stdlib libc6 libexpat1 zlib1g libssl3t64 libffi8
        libsqlite3-0 libuuid1 libbz2-1.0 liblzma5 libreadline8t64 libzstd1)
    apt-get download --quiet=2 "${packages[@]/%//trixie}" 2>/dev/null
    for package in *.deb; do dpkg -x "$package" debian; done
    lib=debian/usr/lib/x86_64-linux-gnu
    python=("$lib/ld-linux-x86-64.so.2" --library-path "$lib" debian/usr/bin/python3.13)
fi
PYTHONPATH=$(echo venv/lib/python3*/site-packages) "${python[@]}" -m pip install --quiet --no-compile --target site django==6.1.3 django-tasks-db==0.13.0
export PYTHONPATH=site

cat >try.py <<'PY'
import sys

from django.conf import settings

settings.configure(
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db"}},
    TASKS={"default": {"BACKEND": sys.argv[1]}},
    INSTALLED_APPS=["django_tasks_db"],
)
import django
from django.core.management import call_command
from django.tasks import task

django.setup()
sys.modules["try"] = sys.modules["__main__"]
call_command("migrate", verbosity=0)


def show(*args):
    print(*args)


show.__module__ = "try"
show = task(show)
show.enqueue({1: "one"}, (2, 3), b"four")
if "db" in sys.argv[1]:
    call_command("db_worker", batch=True, verbosity=0, reload=False)
PY
seen=$("${python[@]}" try.py django.tasks.backends.immediate.ImmediateBackend 2>errors)
[ "$seen" = "{1: 'one'} [2, 3] four" ] || changed "the immediate backend passes $seen."
seen=$("${python[@]}" try.py django_tasks_db.DatabaseBackend 2>errors)
[ "$seen" = "{'1': 'one'} [2, 3] four" ] || changed "the database backend passes $seen."
echo "as seen: {1: 'one'} arrives as {'1': 'one'}."
