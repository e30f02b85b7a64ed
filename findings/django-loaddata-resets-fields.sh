#!/usr/bin/env bash
# loaddata writes whole rows: a fixture that names one field of an existing row resets all the others to their
# defaults.
#
# Version: Django 5.2.19
# Good guess: what the fixture does not name stays as it is, as in an update; or the fixture is refused as incomplete.
# Seen: a fixture with pk 1 and the user name only: the first name is empty afterwards, the password too, is_staff is
# False, and date_joined is now. "Installed 1 object(s) from 1 fixture(s)".
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet django==5.2.19
cd "$work"

cat >try.py <<'PY'
from django.conf import settings

settings.configure(
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
)
import django

django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command

call_command("migrate", verbosity=0)
user = User.objects.create_user("first", password="for this test", first_name="Ada", is_staff=True)
call_command("loaddata", "users.json", verbosity=0)
after = User.objects.get(pk=user.pk)
print(after.username, repr(after.first_name), repr(after.password), after.is_staff, after.date_joined == user.date_joined)
PY
echo '[{"model": "auth.user", "pk": 1, "fields": {"username": "renamed"}}]' >users.json
seen=$(venv/bin/python try.py)
[ "$seen" = "renamed '' '' False False" ] || changed "the row is afterwards: $seen."
echo "as seen: $seen"
