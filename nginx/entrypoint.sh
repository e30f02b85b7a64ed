#!/bin/bash
# Becomes nginx. In the background, a loop reloads nginx as soon as there is a new configuration (configure.sh)
# or a new certificate: requests in progress finish with the old one.
set -o errexit -o nounset -o pipefail

# Cached pages (cache.conf) do not survive a restart.
rm --recursive --force /var/cache/nginx/pages

# What nginx should have loaded: the directory of the configuration, and the identity of the certificate file.
there_is() { echo "$(readlink /srv/nginx/current) $(stat --format '%i %Y' /srv/certificates/site.pem 2>/dev/null)"; }

watch() {
    local last=$1 now
    while sleep 1; do
        now=$(there_is)
        [ "$now" != "$last" ] || continue
        last=$now
        if nginx -t -q; then
            kill -HUP 1 # log-relay passes it on to nginx
            echo "loaded $now" >/run/nginx/verdict
        else
            echo "refused $now" >/run/nginx/verdict
            echo "entrypoint: nginx refuses what is new, as said above, and goes on with the old one" >&2
        fi
    done
}

nginx -t -q
now=$(there_is)
echo "loaded $now" >/run/nginx/verdict # scripts/deploy waits for it
watch "$now" &
exec log-relay nginx -g "daemon off;"
