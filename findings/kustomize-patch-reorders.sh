#!/usr/bin/env bash
# A strategic merge patch in kustomize moves what it names to the front: init containers then start in another order.
#
# Version: kustomize 5.6.0 (Debian)
# Good guess: a patch that only sets the image of the second init container leaves the order alone.
# Seen: "migrate" before "collect" becomes "collect" before "migrate", and init containers run in the order of the
# list. So does env: the patched URL now stands before HOST, and its $(HOST) can only name what stands before it. A
# JSON 6902 patch leaves the order alone.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
cd "$work"
apt-get download --quiet=2 'kustomize=5.6.0*' 2>/dev/null
dpkg -x kustomize_*.deb .

cat >deployment.yaml <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: { name: site }
spec:
  selector: { matchLabels: { app: site } }
  template:
    metadata: { labels: { app: site } }
    spec:
      initContainers:
        - { name: migrate, image: app:1 }
        - { name: collect, image: app:1 }
      containers:
        - name: web
          image: app:1
          env:
            - { name: HOST, value: site }
            - { name: URL, value: "http://$(HOST)/" }
YAML
# shellcheck disable=SC2016 # $(HOST) is Kubernetes' own
strategic='patches:
  - patch: |-
      apiVersion: apps/v1
      kind: Deployment
      metadata: { name: site }
      spec:
        template:
          spec:
            initContainers: [{ name: collect, image: app:2 }]
            containers: [{ name: web, env: [{ name: URL, value: "https://$(HOST)/" }] }]'
json='patches:
  - target: { kind: Deployment }
    patch: |-
      - { op: replace, path: /spec/template/spec/initContainers/1/image, value: "app:2" }'
# ask ANSWER PATCH: fails unless the names of variables and init containers are in the order of ANSWER.
ask() {
    printf 'resources: [deployment.yaml]\n%s\n' "$2" >kustomization.yaml
    seen=$(usr/bin/kustomize build . | sed -n 's/^ *-* *name: \(HOST\|URL\|migrate\|collect\)$/\1/p' | tr '\n' ' ')
    [ "$seen" = "$1" ] || changed "the order is: $seen."
}
ask 'HOST URL migrate collect ' "$json"
ask 'URL HOST collect migrate ' "$strategic"
echo "as seen: $seen"
