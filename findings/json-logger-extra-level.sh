#!/usr/bin/env bash
# python-json-logger: extra={"level": "info"} replaces the record's own level, and an error is logged as "info".
#
# Version: python-json-logger 4.2.0
# Good guess: rename_fields={"levelname": "level"} makes "level" the record's level; what collides is kept apart or
# refused, as logging refuses extra={"levelname": ...} with a KeyError.
# Seen: logger.error("failed", extra={"level": "info"}) is {"level": "info", ...}; the record's own level is nowhere.
# A dict as the message may also bring {"levelname": "info"}, which does the same without any extra.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet python-json-logger==4.2.0
cd "$work"

cat >try.py <<'PY'
import logging
import sys

from pythonjsonlogger.json import JsonFormatter

handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(JsonFormatter("%(levelname)s %(message)s", rename_fields={"levelname": "level"}))
logger = logging.getLogger("site")
logger.addHandler(handler)
logger.error("plain")
logger.error("failed", extra={"level": "info"})
logger.error({"message": "failed", "levelname": "info"})
try:
    logger.error("failed", extra={"levelname": "info"})
except KeyError:
    print("KeyError")
PY
seen=$(venv/bin/python try.py)
expected='{"level": "ERROR", "message": "plain"}
{"level": "info", "message": "failed"}
{"level": "info", "message": "failed"}
KeyError'
[ "$seen" = "$expected" ] || changed "the four calls log: ${seen//$'\n'/; }."
echo "as seen: an error with the level info."
