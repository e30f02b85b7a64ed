#!/usr/bin/env bash
# environs refuses the address of a Compose service, http://app:8000, as "Not a valid URL"; http://localhost is fine.
#
# Version: environs 15.2.0
# Good guess: env.url() takes what urlparse() takes; a name without a dot is usual in a container network.
# Seen: a host without a dot is refused (marshmallow's URL field wants a top-level domain), except localhost.
# env.int("N", default=3) with N= (set and empty, as Compose writes an unset ${N}) is an error, and env.int("MISSING",
# default="7") is the string "7": defaults are neither used for an empty value nor converted.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet environs==15.2.0
cd "$work"

cat >try.py <<'PY'
import os

from environs import Env, EnvError

os.environ.update(SERVICE="http://app:8000/", LOCAL="http://localhost:8000/", DOTTED="http://app.internal:8000/", N="")
env = Env()


def answer(read, *args, **options):
    try:
        value = read(*args, **options)
    except EnvError as error:
        return str(error).split("invalid: ")[1]
    return value.geturl() if hasattr(value, "geturl") else repr(value)


print(answer(env.url, "SERVICE"))
print(answer(env.url, "LOCAL"))
print(answer(env.url, "DOTTED"))
print(answer(env.int, "N", default=3))
print(answer(env.int, "MISSING", default="7"))
PY
seen=$(venv/bin/python try.py)
expected="['Not a valid URL.']
http://localhost:8000/
http://app.internal:8000/
Not a valid integer.
'7'"
[ "$seen" = "$expected" ] || changed "the five reads are: ${seen//$'\n'/; }."
echo "as seen: http://app:8000/ is not valid."
