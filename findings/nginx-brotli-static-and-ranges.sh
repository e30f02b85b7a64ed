#!/usr/bin/env bash
# nginx's brotli_static and gzip_static are not alike: one ignores Range, and br wins though the client wants gzip
# more.
#
# Versions: nginx 1.26.3 and libnginx-mod-http-brotli-static 1.0.0~rc (Debian 13)
# Good guess: both serve a prepared file in the same way; the client's q values choose between them.
# Seen: Range: bytes=0-4 with Accept-Encoding: gzip is 206 with five bytes of the .gz, with br 200 and the whole .br,
# without Accept-Ranges. "gzip;q=1, br;q=0.1" gets br; "*", which allows both, gets neither. q=0 is heeded by both.
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
for name in style.css style.css.gz style.css.br; do printf '%-99s\n' "$name" >"site/$name"; done
cat >nginx.conf <<CONF
load_module $work/usr/lib/nginx/modules/ngx_http_brotli_static_module.so;
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
    types { text/css css; }
    server {
        listen unix:$work/nginx.sock;
        root $work/site;
        gzip_static on;
        brotli_static on;
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
# ask ANSWER ENCODINGS [OPTION...]: fails unless status, encoding and bytes are ANSWER.
ask() {
    seen=$(curl --silent --max-time 10 --unix-socket nginx.sock --output answer --header "Accept-Encoding: $2" "${@:3}" \
        --write-out '%{http_code} %header{content-encoding} %{size_download}' http://site/style.css)
    [ "$seen" = "$1" ] || changed "Accept-Encoding: $2 (${*:3}) gets '$seen', not '$1'."
}
ask '206 gzip 5' gzip --header 'Range: bytes=0-4'
ask '200 br 100' br --header 'Range: bytes=0-4'
ask '200 br 100' 'gzip;q=1, br;q=0.1'
ask '200  100' '*'
ask '200  100' 'gzip;q=0, br;q=0'
echo "as seen: 206 for gzip, 200 for br."
