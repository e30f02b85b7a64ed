#!/bin/bash
# Writes what follows from the settings (compose.yaml passes them on), then becomes nginx.
set -o errexit -o nounset -o pipefail

# http://localhost:8000,https://example.com -> localhost example.com
hosts=$(sed --regexp-extended 's#https?://##g; s#:[0-9]+(,|$)#\1#g; s#,# #g' <<<"$SITE_URL")
[[ " $hosts " != *' localhost '* ]] || hosts+=' 127.0.0.1 [::1]'
echo "server_name $hosts;" >/run/nginx/server_name.conf

cat >/run/nginx/settings.conf <<CONF
map "" \$public_scheme { default ${SITE_URL%%://*}; }
map "" \$max_upload_mb { default $SITE_MAX_UPLOAD_MB; }
client_max_body_size ${SITE_MAX_UPLOAD_MB}m;
# The same as uWSGI's harakiri, which looks once a second: the client first gets nginx's 504, an
# answer that says what happened, then the worker ends.
uwsgi_read_timeout ${SITE_REQUEST_TIMEOUT}s;
uwsgi_send_timeout ${SITE_REQUEST_TIMEOUT}s;
CONF

exec nginx -g 'daemon off;'
