#!/usr/bin/env bash
# One env file, two readers: Compose takes off the quotes and the comment, kustomize makes them part of the value.
#
# Versions: kustomize 5.6.0, Docker Compose 2.26.1 (both Debian)
# Good guess: KEY="value" means the same to both; kustomize itself takes the quotes off KEY="value" under "literals".
# Seen: for SECRET_KEY="abc def", DEBUG=no # never and HOST=$NAME: Compose gives abc def, no and the value of NAME;
# kustomize, from "envs", gives "abc def" with its quotes, "no # never" and $NAME. From literals: abc def.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
cd "$work"
apt-get download --quiet=2 'docker-compose=2.26.1-*' 'kustomize=5.6.0*' 2>/dev/null
for package in *.deb; do dpkg -x "$package" .; done

cat >app.env <<'ENV'
SECRET_KEY="abc def"
DEBUG=no # never
HOST=$NAME
ENV
cat >compose.yaml <<'YAML'
name: site
services:
  app:
    image: app
    env_file: app.env
YAML
cat >kustomization.yaml <<'YAML'
generatorOptions:
  disableNameSuffixHash: true
configMapGenerator:
  - name: app
    envs: [app.env]
    literals: ['LITERAL="abc def"']
YAML
compose=$(NAME=site usr/libexec/docker/cli-plugins/docker-compose config --format json | python3 -c '
import json, sys
for pair in sorted(json.load(sys.stdin)["services"]["app"]["environment"].items()):
    print(*pair, sep="=")')
[ "$compose" = $'DEBUG=no\nHOST=site\nSECRET_KEY=abc def' ] || changed "Compose reads: ${compose//$'\n'/; }."
kustomize=$(usr/bin/kustomize build . | sed -n 's/^  \([A-Z_]*\): /\1=/p')
expected="DEBUG='no # never'
HOST=\$NAME
LITERAL=abc def
SECRET_KEY='\"abc def\"'"
[ "$kustomize" = "$expected" ] || changed "kustomize reads: ${kustomize//$'\n'/; }."
echo "as seen: ${kustomize//$'\n'/; }."
