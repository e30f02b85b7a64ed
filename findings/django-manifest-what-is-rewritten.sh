#!/usr/bin/env bash
# Manifest static files: a file named in a comment must exist, one named in image-set("...") is not hashed at all.
#
# Version: Django 5.2.19
# Good guess: collectstatic reads CSS and (support_js_module_import_aggregation) JavaScript as a browser does.
# Seen: /* url(old.png) */ fails with "The file 'old.png' could not be found"; so does an import statement inside a
# JavaScript string. image-set("page.png" 1x) in CSS and new URL("./page.png", import.meta.url) in a module keep the
# plain name, so they are asked for without a hash: never immutable, and old after a deploy. (6.1 skips comments.)
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet django==5.2.19
cd "$work"

cat >try.py <<'PY'
import os
import shutil
import sys

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class Storage(ManifestStaticFilesStorage):
    support_js_module_import_aggregation = True


settings.configure(
    STATIC_URL="/static/",
    STATIC_ROOT="out",
    STATICFILES_DIRS=["static"],
    INSTALLED_APPS=["django.contrib.staticfiles"],
    STORAGES={"staticfiles": {"BACKEND": "__main__.Storage"}},
)
import django
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command

django.setup()
name, text = sys.argv[1:]
shutil.rmtree("static", ignore_errors=True)
shutil.rmtree("out", ignore_errors=True)
os.mkdir("static")
open("static/page.png", "w").close()
with open(f"static/{name}", "w") as file:
    file.write(text)
try:
    call_command("collectstatic", interactive=False, verbosity=0)
except ValueError as error:
    print("fails" if "could not be found" in str(error) else error)
else:
    with open(f"out/{staticfiles_storage.stored_name(name)}") as file:
        print("unchanged" if file.read() == text else "hashed")
PY
# ask ANSWER NAME TEXT
ask() {
    seen=$(venv/bin/python try.py "$2" "$3" 2>errors)
    [ "$seen" = "$1" ] || changed "$3: $seen, not $1."
}
ask hashed page.css 'a { background: url(page.png) }'
ask fails page.css '/* url(old.png) */'
ask fails page.js 'const text = "import '"'./old.js'"'";'
ask unchanged page.css 'a { background: image-set("page.png" 1x) }'
ask unchanged page.js 'new URL("./page.png", import.meta.url)'
echo "as seen: comments and strings are followed, image-set and new URL are not."
