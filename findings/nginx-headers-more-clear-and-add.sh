#!/usr/bin/env bash
# headers-more: clearing Cache-Control beside an add_header of it sends two lines, the first one empty.
#
# Version: nginx 1.26.3 with libnginx-mod-http-headers-more-filter 0.38 (Debian 13)
# Good guess: more_clear_headers removes what is there, add_header adds one line; or the added one is cleared, too.
# Seen: "Cache-Control: " (empty) and "Cache-Control: no-store", even where there was none to clear. With Set-Cookie,
# an ordinary name, one line is sent. more_set_headers "Cache-Control: no-store" sends one.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
set -o monitor # each server gets a process group of its own
clean() {
    exec 2>/dev/null
    for group in $(jobs -p); do kill -KILL -- "-$group" || true; done
    wait
    rm -rf "$work"
}
trap clean EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
cd "$work"
# nginx with the modules that Debian builds, and Debian 13's C library for it.
packages=(libc6 libcrypt1 libssl3t64 libpcre2-8-0 zlib1g libbrotli1 libnginx-mod-http-brotli-static)
apt-get download --quiet=2 'nginx=1.26.3-*' "${packages[@]/%//trixie}" 2>/dev/null
for package in *.deb; do dpkg -x "$package" .; done
lib=$work/usr/lib/x86_64-linux-gnu
apt-get download --quiet=2 libnginx-mod-http-headers-more-filter/trixie 2>/dev/null
dpkg -x libnginx-mod-http-headers-more-filter_*.deb .
cat >nginx.conf <<CONF
load_module $work/usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so;
daemon off;
master_process off;
pid $work/nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    server {
        listen unix:$work/nginx.sock;
        location /clear {
            more_clear_headers Cache-Control Set-Cookie;
            add_header Cache-Control no-store;
            add_header Set-Cookie seen=1;
            return 200 page;
        }
        location /set {
            more_set_headers 'Cache-Control: no-store';
            return 200 page;
        }
    }
}
CONF
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
"$lib/ld-linux-x86-64.so.2" --library-path "$lib" usr/sbin/nginx -c "$work/nginx.conf" -e "$work/error.log" >nginx.log 2>&1 &
appear nginx.sock
ask() {
    curl --silent --max-time 10 --unix-socket nginx.sock --include "http://site/$1" | tr -d '\r' |
        sed -n 's/^\(Cache-Control\|Set-Cookie\): *\(.*\)/\1=\2/p' | sort | tr '\n' ';'
}
seen=$(ask set)
[ "$seen" = 'Cache-Control=no-store;' ] || changed "with more_set_headers: $seen"
seen=$(ask clear)
[ "$seen" = 'Cache-Control=;Cache-Control=no-store;Set-Cookie=seen=1;' ] || changed "with more_clear_headers: $seen"
echo "as seen: $seen"
