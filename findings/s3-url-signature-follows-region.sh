#!/usr/bin/env bash
# django-storages: naming the bucket's region changes how its links are signed; without it, or with us-east-1, the old
# way.
#
# Versions: django-storages 1.14.6, boto3 1.44.8, Django 5.2.19
# Good guess: links are signed with version 4 everywhere, the only one that AWS' newer regions know; the region only
# chooses the server.
# Seen: url() with no region or us-east-1 is ?AWSAccessKeyId=...&Signature=...&Expires=... (version 2); with
# eu-central-1 it is ?X-Amz-Algorithm=AWS4-HMAC-SHA256... . An endpoint of one's own changes nothing in that: version
# 2. signature_version="s3v4" makes all of them version 4.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet django==5.2.19 django-storages==1.14.6 boto3==1.44.8
cd "$work"

cat >try.py <<'PY'
from django.conf import settings

settings.configure(USE_TZ=True)
from storages.backends.s3 import S3Storage

OPTIONS = {"bucket_name": "media", "access_key": "key", "secret_key": "for this test"}
for options in (
    {},
    {"region_name": "us-east-1"},
    {"region_name": "eu-central-1"},
    {"endpoint_url": "http://storage:9000"},
    {"endpoint_url": "http://storage:9000", "signature_version": "s3v4"},
):
    query = S3Storage(**OPTIONS, **options).url("page.pdf").split("?")[1]
    print(*options.values(), 4 if "X-Amz-Signature=" in query else 2 if "AWSAccessKeyId=" in query else query)
PY
seen=$(venv/bin/python try.py)
expected=' 2
us-east-1 2
eu-central-1 4
http://storage:9000 2
http://storage:9000 s3v4 4'
[ "$seen" = "${expected# }" ] || [ "$seen" = "$expected" ] || changed "options and signature version: ${seen//$'\n'/; }."
echo "as seen: ${seen//$'\n'/; }."
