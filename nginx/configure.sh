#!/bin/bash
# Puts nginx's configuration where nginx takes it from: this folder, and what follows from the settings
# (compose.yaml passes them on). All of it at once, and only what nginx accepts.
#
# usage: configure.sh [https [http3]]
#
#   https   with the certificate of compose/tls.yaml
#   http3   and HTTP/3 (compose/http3.yaml)
#
# With CHECK_ONLY=yes in the environment, nginx judges it, and nothing is changed (scripts/deploy).
set -o errexit -o nounset -o pipefail

readonly SCHEME=${1:-http} HTTP3=${2:-}

# Each configuration has a directory of its own; "current", which is /etc/nginx for nginx, links to one.
cd /srv/nginx
draft=$(mktemp --directory XXXXXXXX)
trap 'rm --recursive --force "/srv/nginx/$draft"' EXIT
chmod 755 "$draft"
cp --recursive /etc/nginx/. "$draft"

# http://localhost:8000,https://example.com -> hosts: localhost 127.0.0.1 [::1] example.com
hosts='' origins='' ports='' reject_unknown_names=on
for url in ${SITE_URL//,/ }; do
    [[ $url =~ ^https?://(\[.*\]|[^:]*)(:[0-9]+)?$ ]]
    port=${BASH_REMATCH[2]-}
    for host in "${BASH_REMATCH[1]}" $([ "${BASH_REMATCH[1]}" != localhost ] || echo 127.0.0.1 '[::1]'); do
        [[ " $hosts " != *" $host "* ]] || continue
        hosts+=" $host"
        origins+=" $host https://$host$port;"
        ports+=" $host \"$port\";"
        [[ ! $host =~ ^[0-9.]+$|^\[ ]] || reject_unknown_names=off
    done
done
echo "server_name$hosts;" >"$draft/server_name.conf"

# How pages tell browsers of HTTP/3; an empty value sends no header.
alt_svc=''
# shellcheck disable=SC2016 # the dollar is nginx's
[ ! "$HTTP3" ] || alt_svc='h3=":$public_port"; ma=86400'

[ "$SITE_CACHE" = true ] && cache_zone=pages || cache_zone=off

cat >"$draft/settings.conf" <<CONF
map "" \$public_scheme { default ${SITE_URL%%://*}; }
map "" \$max_upload_mb { default $SITE_MAX_UPLOAD_MB; }
map \$host \$site_port { default "";$ports }
map "" \$cache_zone { default $cache_zone; }
map "" \$alt_svc { default '$alt_svc'; }
client_max_body_size ${SITE_MAX_UPLOAD_MB}m;
# The client gets its 504 at the limit, and the worker ends after that (uwsgi/timed_wsgi.py).
uwsgi_read_timeout ${SITE_REQUEST_TIMEOUT}s;
uwsgi_send_timeout ${SITE_REQUEST_TIMEOUT}s;
CONF

# The client's address is what a trusted proxy says; from anybody else X-Forwarded-For means nothing.
if [ "$SITE_TRUSTED_PROXIES" ]; then
    # "host" is this machine: Docker's gateway, in hexadecimal and backwards in the default route.
    while read -r _ destination gateway _; do
        [ "$destination" = 00000000 ] || continue
        printf -v host '%d.%d.%d.%d' "0x${gateway:6:2}" "0x${gateway:4:2}" "0x${gateway:2:2}" "0x${gateway:0:2}"
    done </proc/net/route
    for proxy in ${SITE_TRUSTED_PROXIES//,/ }; do
        echo "set_real_ip_from ${proxy/#host/${host-}};" >>"$draft/settings.conf"
    done
    echo "real_ip_header X-Forwarded-For; real_ip_recursive on;" >>"$draft/settings.conf"
fi

cp "$draft/listen-$SCHEME.conf" "$draft/listen.conf"

# Other sites than ours: compose/emperor.yaml. Before ours, so that a host which is in SITE_URL, too, for
# the certificate, is theirs.
[ ! "${NGINX_SITES-}" ] || echo "include $NGINX_SITES;" >>"$draft/settings.conf"

if [ "$SCHEME" = https ]; then
    cat >>"$draft/settings.conf" <<CONF
include tls.conf;
map \$host \$public_origin { default "";$origins }
CONF
    echo "ssl_reject_handshake $reject_unknown_names;" >"$draft/unknown_names.conf"
    if [ "$HTTP3" ]; then
        # reuseport: each worker has its own queue, or packets reach one that does not know them.
        echo "listen 8443 quic default_server reuseport; listen [::]:8443 quic default_server reuseport;" >>"$draft/unknown_names.conf"
        echo "listen 8443 quic; listen [::]:8443 quic;" >>"$draft/listen.conf"
    fi
fi

# A stop or a reload waits for the slowest answer, then a little for its client.
echo "worker_shutdown_timeout $((SITE_REQUEST_TIMEOUT + 30))s;" >"$draft/main.conf"

said=$(nginx -t -q -c "/srv/nginx/$draft/nginx.conf" 2>&1) || {
    # The file as it is named in the project; and last, what is wrong.
    grep --invert-match 'test failed$' <<<"${said//"/srv/nginx/$draft"/nginx}" >&2
    exit 1
}
[ ! "${CHECK_ONLY-}" ] || exit 0
! diff --recursive --brief current "$draft" >/dev/null 2>&1 || exit 0

# On the disk before it has its name: after a power cut, nginx starts with what is there.
sync --file-system .
old=$(readlink current) || true
ln --symbolic --force --no-dereference "$draft" next
mv --no-target-directory next current
trap - EXIT
for each in */; do # "current" is one of them
    [[ "current $draft $old" == *"${each%/}"* ]] || rm --recursive --force "$each"
done
