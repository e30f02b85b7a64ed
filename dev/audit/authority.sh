#!/bin/bash
# Makes a certificate authority for one audit, and the site's certificate, in the current directory.
set -o errexit -o nounset

new=(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 90)
"${new[@]}" -subj "/CN=Authority of the audit" -keyout root.key -out root.pem \
    -addext keyUsage=critical,keyCertSign,cRLSign
"${new[@]}" -subj /CN=site.example -keyout key.pem -out certificate.pem -CA root.pem -CAkey root.key \
    -addext subjectAltName=DNS:site.example,DNS:direct.example \
    -addext basicConstraints=critical,CA:FALSE \
    -addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=serverAuth
chmod 644 ./*.pem # nginx's user must be able to read them
