#!/bin/bash
# Becomes nginx. Beside it, a watch lets nginx take up another configuration (configure.sh) or another
# certificate, as soon as it is there: what is being answered is finished with the old one.
set -o errexit -o nounset -o pipefail

# Kept pages (cache.conf) do not outlive a start.
rm --recursive --force /var/cache/nginx/pages

# What there is to load: the directory of the configuration, and which file the certificate is.
there_is() { echo "$(readlink /srv/nginx/current) $(stat --format '%i %Y' /srv/certificates/site.pem 2>/dev/null)"; }

watch() {
    local last=$1 now
    while sleep 1; do
        now=$(there_is)
        [ "$now" != "$last" ] || continue
        last=$now
        if nginx -t -q; then
            kill -HUP 1 # log-relay hands it on
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
