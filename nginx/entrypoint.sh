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
# The client gets its 504 at the limit, and the worker ends after that (uwsgi/timed_wsgi.py).
uwsgi_read_timeout ${SITE_REQUEST_TIMEOUT}s;
uwsgi_send_timeout ${SITE_REQUEST_TIMEOUT}s;
CONF

# A stop or a reload waits for the slowest answer, then a little for its client.
exec nginx -g "daemon off; worker_shutdown_timeout $((SITE_REQUEST_TIMEOUT + 30))s;"
