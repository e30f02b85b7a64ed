#!/usr/bin/env bash
# WhiteNoise ignores If-Range and gives text and gzip one strong ETag: a resumed download is a mix of two files.
#
# Version: WhiteNoise 6.12.0
# Good guess: ETag and Range are there, so If-Range works; two encodings have two ETags.
# Seen: Range: bytes=0-1 with If-Range: "another" is 206, not the whole file (RFC 9110, 13.1.5); a browser that goes
# on with a download after a deploy adds the rest of the new file to the start of the old. The packed and the plain
# answer have the same strong ETag; and Accept-Encoding: gzip;q=0, which refuses gzip, gets gzip.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet whitenoise==6.12.0
cd "$work"

cat >try.py <<'PY'
import gzip
import os

from whitenoise import WhiteNoise

os.mkdir("static")
with open("static/page.css", "wb") as plain, gzip.open("static/page.css.gz", "wb") as packed:
    plain.write(b"a {} " * 500)
    packed.write(b"a {} " * 500)
site = WhiteNoise(None, root="static")


def ask(**headers):
    answer = {}

    def start_response(status, fields):
        answer.update(fields, status=status[:3])

    answer["bytes"] = len(b"".join(site({"PATH_INFO": "/page.css", "REQUEST_METHOD": "GET", **headers}, start_response)))
    return answer


plain, packed = ask(), ask(HTTP_ACCEPT_ENCODING="gzip")
print("same ETag:", plain["ETag"] == packed["ETag"] and not plain["ETag"].startswith("W/"))
print("shorter:", packed["bytes"] < plain["bytes"])
print("If-Range:", ask(HTTP_RANGE="bytes=0-1", HTTP_IF_RANGE='"another"')["status"])
print("gzip;q=0:", ask(HTTP_ACCEPT_ENCODING="gzip;q=0").get("Content-Encoding"))
PY
seen=$(venv/bin/python try.py)
expected='same ETag: True
shorter: True
If-Range: 206
gzip;q=0: gzip'
[ "$seen" = "$expected" ] || changed "${seen//$'\n'/; }."
echo "as seen: ${seen//$'\n'/; }."
