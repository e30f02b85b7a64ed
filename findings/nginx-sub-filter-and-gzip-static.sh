#!/usr/bin/env bash
# sub_filter beside gzip_static: who takes gzip gets the old text, everybody else the new one, from one address.
#
# Version: nginx 1.26.3 (Debian 13)
# Good guess: sub_filter turns the prepared file off, or replaces in it as well; at the worst it does nothing for
# both.
# Seen: page.html and page.html.gz, "old" replaced by "new": curl gets "new", a browser (Accept-Encoding: gzip) the
# .gz as it is, "old", of which sub_filter has removed ETag and Last-Modified all the same. No warning at the start.
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
mkdir site
echo 'the old text' >site/page.html
gzip --keep site/page.html
cat >nginx.conf <<CONF
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
    types { text/html html; }
    server {
        listen unix:$work/nginx.sock;
        root $work/site;
        gzip_static on;
        sub_filter old new;
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
ask() { curl --silent --max-time 10 --unix-socket nginx.sock --write-out '%header{content-encoding} %header{etag}' "$@" http://site/page.html; }
answer=$(ask)
[ "$answer" = $'the new text\n ' ] || changed "without gzip the page is '$answer'."
answer=$(ask --compressed --header 'Accept-Encoding: gzip')
[ "$answer" = $'the old text\ngzip ' ] || changed "with gzip the page is '$answer'."
echo "as seen: old with gzip, new without."
