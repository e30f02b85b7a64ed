#!/usr/bin/env bash
# Compose rewrites bare values in "environment": 2026-01-01 becomes "2026-01-01 00:00:00 +0000 UTC", and 1.0 becomes
# 1.
#
# Version: Docker Compose 2.26.1 (Debian)
# Good guess: an environment variable is text, so what stands after the colon arrives; only true and false need
# quotes.
# Seen: RELEASE: 2026-01-01 arrives as a time stamp with zone, VERSION: 1.0 as 1, UMASK: 027 as 23, ID: 1_000 as 1000,
# HASH: 1e3 as 1000. yes, on and 12:30:45, which YAML 1.1 would change, stay as they are. The same lines in the list
# form (- RELEASE=2026-01-01) stay as they are, too.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
cd "$work"
apt-get download --quiet=2 'docker-compose=2.26.1-*' 2>/dev/null
dpkg -x docker-compose_*.deb .

cat >compose.yaml <<'YAML'
name: site
services:
  mapping:
    image: app
    environment:
      RELEASE: 2026-01-01
      VERSION: 1.0
      UMASK: 027
      ID: 1_000
      HASH: 1e3
      TIME: 12:30:45
      ANSWER: yes
  list:
    image: app
    environment:
      - RELEASE=2026-01-01
      - VERSION=1.0
YAML
seen=$(usr/libexec/docker/cli-plugins/docker-compose config --format json | python3 -c '
import json, sys
services = json.load(sys.stdin)["services"]
for service in "mapping", "list":
    print(*(f"{name}={value}" for name, value in sorted(services[service]["environment"].items())), sep=", ")')
expected='ANSWER=yes, HASH=1000, ID=1000, RELEASE=2026-01-01 00:00:00 +0000 UTC, TIME=12:30:45, UMASK=23, VERSION=1
RELEASE=2026-01-01, VERSION=1.0'
[ "$seen" = "$expected" ] || changed "mapping and list arrive as: ${seen//$'\n'/; }."
echo "as seen: ${seen//$'\n'/; }."
