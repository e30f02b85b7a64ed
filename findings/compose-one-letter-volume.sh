#!/usr/bin/env bash
# Compose takes a volume whose name is one letter for a Windows drive: v:/srv is an unnamed volume mounted at
# "v:/srv".
#
# Version: Docker Compose 2.26.1 (Debian; the same in 2.40.3)
# Good guess: v:/srv mounts the declared volume v, as data:/srv mounts data.
# Seen: docker compose config accepts it: type volume, no source, target "v:/srv", and the declared volume v is left
# out of its output as unused. Only the engine objects, when the container is made: "mount path must be absolute". The
# long form (source: v) works.
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
  app:
    image: app
    volumes:
      - v:/srv
      - data:/data
      - { type: volume, source: w, target: /w }
volumes:
  v:
  w:
  data:
YAML
seen=$(usr/libexec/docker/cli-plugins/docker-compose config --format json | python3 -c '
import json, sys
config = json.load(sys.stdin)
for volume in config["services"]["app"]["volumes"]:
    print(volume.get("source"), volume["target"])
print(*sorted(config["volumes"]))')
expected='None v:/srv
data /data
w /w
data w'
[ "$seen" = "$expected" ] || changed "sources, targets and volumes: ${seen//$'\n'/, }."
echo "as seen: ${seen//$'\n'/, }."
