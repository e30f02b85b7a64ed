#!/bin/bash
# Installs nginx's configuration: this folder, with the templates filled in from the settings
# (compose.yaml passes them on). It is replaced as a whole, and only if nginx accepts the new one.
#
# usage: configure.sh [https [http3]]
#
#   https   with the certificate of compose/tls.yaml
#   http3   and HTTP/3 (compose/http3.yaml)
#
# With CHECK_ONLY=yes in the environment, nginx only checks it, and nothing is changed (scripts/deploy).
set -o errexit -o nounset -o pipefail

readonly SCHEME=${1:-http} HTTP3=${2:-}

# Each configuration has its own directory; "current", to which nginx's /etc/nginx leads, links to the one in use.
cd /srv/nginx
draft=$(mktemp --directory XXXXXXXX)
trap 'rm --recursive --force "/srv/nginx/$draft"' EXIT
chmod 755 "$draft"
cp --recursive /etc/nginx/. "$draft"

# -- what the templates need besides the settings themselves

# http://localhost:8000,https://example.com -> hosts: localhost 127.0.0.1 [::1] example.com
export NGINX_HOSTS='' NGINX_ORIGINS='' NGINX_PORTS='' NGINX_REJECT_UNKNOWN_NAMES=on
for url in ${SITE_URL//,/ }; do
    [[ $url =~ ^https?://(\[.*\]|[^:]*)(:[0-9]+)?$ ]]
    port=${BASH_REMATCH[2]-}
    for host in "${BASH_REMATCH[1]}" $([ "${BASH_REMATCH[1]}" != localhost ] || echo 127.0.0.1 '[::1]'); do
        [[ " $NGINX_HOSTS " != *" $host "* ]] || continue
        NGINX_HOSTS+=" $host"
        NGINX_ORIGINS+="$host https://$host$port; "
        NGINX_PORTS+="$host \"$port\"; "
        [[ ! $host =~ ^[0-9.]+$|^\[ ]] || NGINX_REJECT_UNKNOWN_NAMES=off
    done
done

# "host" means the Docker host: the gateway of the default route, which is in hexadecimal with its bytes reversed.
while read -r _ destination gateway _; do
    [ "$destination" = 00000000 ] || continue
    printf -v machine '%d.%d.%d.%d' "0x${gateway:6:2}" "0x${gateway:4:2}" "0x${gateway:2:2}" "0x${gateway:0:2}"
done </proc/net/route
export NGINX_TRUSTED_PROXIES=''
for proxy in ${SITE_TRUSTED_PROXIES//,/ }; do
    NGINX_TRUSTED_PROXIES+="set_real_ip_from ${proxy/#host/${machine-}}; "
done

export NGINX_PUBLIC_SCHEME=${SITE_URL%%://*}
export NGINX_LISTEN=${HTTP3:-$SCHEME} NGINX_TLS=/dev/null NGINX_QUIC=/dev/null
[ "$SCHEME" = http ] || NGINX_TLS=tls.conf
[ ! "$HTTP3" ] || NGINX_QUIC=quic.conf
export NGINX_SITES=${NGINX_SITES:-/dev/null}
export NGINX_SHUTDOWN_TIMEOUT=$((SITE_REQUEST_TIMEOUT + 30))

# -- the configuration: only our own variables are replaced, not nginx's

# shellcheck disable=SC2016 # the dollar is envsubst's
ours=$(printf '${%s} ' "${!SITE_@}" "${!NGINX_@}")
for template in "$draft"/templates/*.template; do
    name=$(basename "$template" .template)
    envsubst "$ours" <"$template" >"$draft/$name"
done

# If the kernel has no IPv6, nginx would not start with a line that listens on it.
perl -MSocket -e 'exit !socket(my $one, AF_INET6, SOCK_STREAM, 0)' ||
    find "$draft" -name '*.conf' -exec sed --in-place '/^ *listen \[::\]/d' {} +

said=$(nginx -t -q -c "/srv/nginx/$draft/nginx.conf" 2>&1) || {
    # Name each file as in the project, where it may be a template, and leave the error itself as the last line.
    for template in "$draft"/templates/*.template; do
        name=$(basename "$template" .template)
        said=${said//"/srv/nginx/$draft/$name:"/"nginx/templates/$name.template:"}
    done
    grep --invert-match 'test failed$' <<<"${said//"/srv/nginx/$draft"/nginx}" >&2
    exit 1
}
[ ! "${CHECK_ONLY-}" ] || exit 0
! diff --recursive --brief current "$draft" >/dev/null 2>&1 || exit 0

# Flushed to disk before it gets its name, so that nginx can start with it after a power cut.
sync --file-system .
old=$(readlink current) || true
ln --symbolic --force --no-dereference "$draft" next
mv --no-target-directory next current
trap - EXIT
for each in */; do # "current" is one of them
    [[ "current $draft $old" == *"${each%/}"* ]] || rm --recursive --force "$each"
done
