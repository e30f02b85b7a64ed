#!/bin/sh
set -e
chown www-data /files/* /db /sockets
export SHOP_SECRET=only-the-entrypoint-knows
exec "$@"
