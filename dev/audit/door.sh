#!/bin/bash
# The site's usual ports, as a router in front of it would have them; and Chromium's trust in the
# authority that signed its certificate.
set -o errexit -o nounset

mkdir --parents ~/.pki/nssdb
certutil -d sql:"$HOME/.pki/nssdb" -N --empty-password
certutil -d sql:"$HOME/.pki/nssdb" -A -t C,, -n audit -i /authority/root.pem

socat TCP-LISTEN:80,fork,reuseaddr TCP:nginx:8080 &
exec socat TCP-LISTEN:443,fork,reuseaddr TCP:nginx:8443
