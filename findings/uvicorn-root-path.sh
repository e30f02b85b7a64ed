#!/usr/bin/env bash
# --root-path /shop and a request for /shop/cart: uvicorn makes it /shop/shop/cart, granian leaves it as it is.
#
# Versions: uvicorn 0.54.0, granian 2.8.9 (--url-path-prefix), Django 5.2.19
# Good guess: an option for an application under a prefix takes the prefix off, or at least does not add it again.
# Seen: scope["path"] is /shop/shop/cart in uvicorn, which expects a proxy that took the prefix off; Django then looks
# for /shop/cart and answers 404. With the same request and Django granian finds /cart. So the two need different
# proxy_pass lines in nginx (with and without a path).
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
"$work/venv/bin/pip" install --quiet uvicorn==0.54.0 granian==2.8.9 django==5.2.19
cd "$work"

cat >app.py <<'PY'
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(SECRET_KEY="for this test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["site"])
urlpatterns = [path("cart", lambda request: HttpResponse(request.path))]
application = get_asgi_application()
PY
appear() {
    for _ in {1..200}; do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
}
export PYTHONPATH=$work
venv/bin/uvicorn --uds uvicorn.sock --root-path /shop app:application >log 2>&1 &
venv/bin/granian --interface asgi --uds granian.sock --url-path-prefix /shop app:application >granian.log 2>&1 &
# ask SERVER PATH ANSWER
ask() {
    appear "$1.sock"
    seen=$(curl --silent --max-time 10 --retry 20 --retry-delay 1 --retry-connrefused --unix-socket "$1.sock" \
        --output body --write-out '%{http_code}' "http://site$2")
    [ "$seen" != 200 ] || seen="200 $(cat body)"
    [ "$seen" = "$3" ] || changed "$1 answers $2 with '$seen', not '$3'."
}
ask granian /shop/cart '200 /shop/cart'
ask uvicorn /cart '200 /shop/cart'
ask uvicorn /shop/cart 404
echo "as seen: uvicorn answers /shop/cart with 404."
