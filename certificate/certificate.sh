#!/bin/bash
# Makes sure that nginx has a certificate: your own, or one from an ACME server, or else a self-signed one.
#
# usage: certificate.sh prepare [acme]   before nginx starts: check or make it; exit 1 with one sentence if
#                                        that fails. The ACME server must wait until nginx can answer it.
#        certificate.sh renew [acme]     look again every hour, for ever; SIGHUP: look now
#
# nginx gets the certificates and the key in one file, put in place by one rename: the two always belong
# together. The file's first line says what it is and for which hosts.
set -o errexit -o nounset -o pipefail
umask 077

readonly ACTION=$1 SOURCE=${2:-}
readonly FILE=/srv/certificates/site.pem
readonly OWN=/run/secrets/tls_certificate OWN_KEY=/run/secrets/tls_key

say() { printf 'certificate: %s\n' "$*"; }
fail() {
    printf 'certificate: %s\n' "$*" >&2
    exit 1
}

# https://localhost:8000,https://example.com -> localhost example.com 127.0.0.1 ::1
hosts=$(tr , '\n' <<<"$SITE_URL" | sed --regexp-extended 's#^https?://##; s#:[0-9]+$##; s#[][]##g' |
    awk '!seen[$0]++' | paste --serial --delimiters=' ')
[[ " $hosts " != *' localhost '* ]] || hosts+=' 127.0.0.1 ::1'
readonly hosts
is_ip() { [[ $1 =~ ^[0-9.]+$ || $1 == *:* ]]; }

# field NAME: notBefore or notAfter of nginx's certificate, in seconds since the epoch.
field() { date --date="$(openssl x509 -in "$FILE" -noout -dates | sed --quiet "s/^$1=//p")" +%s; }

# is_good LABEL: nginx's certificate has this label, and more than a third of its lifetime is left.
is_good() {
    [ -e "$FILE" ] && [ "$(head --lines=1 "$FILE")" = "$1" ] || return 1
    local ends
    ends=$(field notAfter)
    (((ends - $(date +%s)) * 3 > ends - $(field notBefore)))
}

# install_as LABEL CERTIFICATES KEY: puts them in place; nginx notices by itself.
install_as() {
    # One chain of &&, since set -e is off where a caller tests whether this worked.
    { echo "$1" && cat "$2" && echo && cat "$3"; } >"$FILE.new" &&
        mv --no-target-directory "$FILE.new" "$FILE" &&
        say "nginx has a certificate that is ${1#\# } until $(openssl x509 -in "$FILE" -noout -enddate | cut --delimiter='=' --fields=2)."
}

# check_readable FILE VARIABLE: fails if nginx's user cannot read the file; VARIABLE holds its path on the host.
check_readable() {
    [ -f "$1" ] || fail "$2 is wrong: ${!2} is not a file."
    [ -r "$1" ] || fail "$2 is wrong: nginx's user may not read ${!2}; make it the owner: chown $(id --user) ${!2}"
}

check_own() {
    local host answer
    [ "$SITE_TLS_CERTIFICATE" ] && [ "$SITE_TLS_KEY" ] ||
        fail "SITE_TLS_CERTIFICATE and SITE_TLS_KEY belong together: set both, or neither."
    check_readable "$OWN" SITE_TLS_CERTIFICATE
    check_readable "$OWN_KEY" SITE_TLS_KEY
    openssl x509 -in "$OWN" -noout 2>/dev/null ||
        fail "SITE_TLS_CERTIFICATE is wrong: there is no certificate in PEM form in $SITE_TLS_CERTIFICATE."
    openssl pkey -in "$OWN_KEY" -noout -passin pass: 2>/dev/null ||
        fail "SITE_TLS_KEY is wrong: there is no key in PEM form without a password in $SITE_TLS_KEY."
    [ "$(openssl x509 -in "$OWN" -noout -pubkey)" = "$(openssl pkey -in "$OWN_KEY" -pubout -passin pass:)" ] ||
        fail "SITE_TLS_KEY is wrong: the key in $SITE_TLS_KEY does not belong to the first certificate in $SITE_TLS_CERTIFICATE, which must be the site's."
    openssl x509 -in "$OWN" -noout -checkend 0 >/dev/null ||
        fail "SITE_TLS_CERTIFICATE is wrong: the certificate in $SITE_TLS_CERTIFICATE ended on $(openssl x509 -in "$OWN" -noout -enddate | cut --delimiter='=' --fields=2)."
    for host in ${hosts% 127.0.0.1 ::1}; do
        answer=$(openssl x509 -in "$OWN" -noout "-check$(is_ip "$host" && echo ip || echo host)" "$host" || true)
        [[ $answer == *'does match certificate'* ]] ||
            fail "SITE_TLS_CERTIFICATE is wrong: the certificate in $SITE_TLS_CERTIFICATE is not for $host, which is in SITE_URL."
    done
}

make_self_signed() {
    local label="# self-signed for $hosts" names host
    is_good "$label" && return
    names=$(for host in $hosts; do is_ip "$host" && printf ',IP:%s' "$host" || printf ',DNS:%s' "$host"; done)
    # A year: browsers refuse certificates that are valid for longer.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 365 -quiet \
        -subj "/CN=self-signed" -addext "subjectAltName=${names#,}" \
        -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
        -addext extendedKeyUsage=serverAuth -keyout /tmp/key.pem -out /tmp/certificate.pem 2>/tmp/errors ||
        fail "openssl made no certificate: $(tail --lines=1 /tmp/errors)"
    install_as "$label" /tmp/certificate.pem /tmp/key.pem
    rm /tmp/key.pem /tmp/certificate.pem
}

# from_acme: requests a certificate when one is due; returns 1 if none was issued.
from_acme() {
    local label="# from $SITE_ACME_URL for $hosts"
    ! is_good "$label" || return 0
    # Extra certificates, for a network that re-signs TLS or for an ACME server of your own.
    [ ! -s /run/secrets/ca ] || export CURL_CA_BUNDLE=/run/secrets/ca
    # --force: we decide when it is due, since a certificate may be valid for 90 days, or for six. --no-lock: nothing
    # else runs dehydrated here, and a lock left by a crash would stay for ever.
    # timeout: dehydrated waits as long as the server says "pending". Challenge files that this left are removed first.
    rm --force /srv/acme-challenge/*
    if timeout 5m dehydrated --cron --force --no-lock --accept-terms --config /certificate/dehydrated.conf \
        --alias site --domain "${hosts// 127.0.0.1 ::1/}" >/tmp/dehydrated.log 2>&1; then
        install_as "$label" /srv/acme/certs/site/fullchain.pem /srv/acme/certs/site/privkey.pem
    else
        say "$SITE_ACME_URL gave no certificate for $hosts; I try again in 15 minutes. It said:"
        sed 's/^/certificate: | /' /tmp/dehydrated.log
        return 1
    fi
}

prepare() {
    local file
    [[ $SITE_URL == https://* ]] ||
        fail "SITE_URL is wrong: it is $SITE_URL, but with compose/tls.yaml the site is at https://…"
    if [ "$SITE_TLS_CERTIFICATE$SITE_TLS_KEY" ]; then
        [ "$SOURCE" != acme ] ||
            fail "SITE_TLS_CERTIFICATE names a certificate, and compose/acme.yaml gets another: choose one of them."
        check_own
        file=$(echo "# your own" && cat "$OWN" && echo && cat "$OWN_KEY")
        [ -e "$FILE" ] && [ "$(<"$FILE")" = "$file" ] || install_as "# your own" "$OWN" "$OWN_KEY"
    elif [ "$SOURCE" = acme ] && [[ -e $FILE && $(head --lines=1 "$FILE") == '# from '* ]] &&
        openssl x509 -in "$FILE" -noout -checkend 0 >/dev/null; then
        say "nginx has a certificate that is $(head --lines=1 "$FILE" | cut --characters=3-)."
    else
        make_self_signed
    fi
}

renew() {
    local pause
    trap : HUP
    trap 'exit 0' TERM INT
    while :; do
        pause=1h
        if [ "$SOURCE" = acme ]; then
            from_acme || pause=15m # Let's Encrypt allows five failures an hour
        elif [ -z "$SITE_TLS_CERTIFICATE$SITE_TLS_KEY" ]; then
            make_self_signed
        fi
        sleep "$pause" &
        wait $! || kill $! 2>/dev/null || true
    done
}

"$ACTION"
