#!/bin/sh
# Makes certificates as an authority does: a root, an intermediate that signs, and the shop's own.
# Beside them, those that faults need: expired.pem, other.pem (another name), leaf.pem (no intermediate).
set -e
cd "$(dirname "$0")"

key() {
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}

# certificate NAME SUBJECT ISSUER EXTENSION [OPTION…]
certificate() {
    name=$1 subject=$2 issuer=$3 extension=$4
    shift 4
    openssl req -new -x509 -key "$name.key" -subj "/CN=$subject" -addext "$extension" \
        -CA "$issuer.crt" -CAkey "$issuer.key" -out "$name.crt" "$@"
}

# A public authority says in each certificate where its own is.
by="authorityInfoAccess=caIssuers;URI:http://authority.example.org/intermediate.crt"
for name in root intermediate shop other; do key $name; done
openssl req -new -x509 -key root.key -subj "/CN=Example Root" -days 365 -out root.crt
certificate intermediate "Example Intermediate" root basicConstraints=critical,CA:TRUE -days 365
certificate other other.example.org intermediate subjectAltName=DNS:other.example.org \
    -addext "$by" -days 365
certificate shop shop.example.org intermediate subjectAltName=DNS:shop.example.org \
    -addext "$by" -not_before 20250101000000Z -not_after 20250401000000Z
cat shop.crt intermediate.crt >expired.pem
certificate shop shop.example.org intermediate subjectAltName=DNS:shop.example.org \
    -addext "$by" -days 365
cat shop.crt intermediate.crt >shop.pem
cat other.crt intermediate.crt >other.pem
mv shop.crt leaf.pem
