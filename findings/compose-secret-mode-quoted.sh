#!/usr/bin/env bash
# Compose: a secret's mode: "0440", in quotes, is 0670: the text is read as a decimal number.
#
# Version: Docker Compose 2.26.1 (Debian)
# Good guess: quotes make no difference, or "0440" in quotes is the careful way, as a leading zero is fragile in YAML.
# Seen: docker compose config turns mode: 0440 into 288 (that is 0440), and mode: "0440" into 440 (that is 0670: the
# group may write and execute, and the owner too). mode: 440 is 440 as well. No warning.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
cd "$work"
apt-get download --quiet=2 'docker-compose=2.26.1-*' 2>/dev/null
dpkg -x docker-compose_*.deb .

echo secret >token
cat >compose.yaml <<'YAML'
name: site
services:
  app:
    image: app
    secrets:
      - { source: bare, mode: 0440 }
      - { source: quoted, mode: "0440" }
secrets:
  bare: { file: token }
  quoted: { file: token }
YAML
seen=$(usr/libexec/docker/cli-plugins/docker-compose config --format json | python3 -c '
import json, sys
for secret in json.load(sys.stdin)["services"]["app"]["secrets"]:
    print(secret["source"], format(secret["mode"], "04o"))')
[ "$seen" = $'bare 0440\nquoted 0670' ] || changed "the modes are: ${seen//$'\n'/, }."
echo "as seen: ${seen//$'\n'/, }."
