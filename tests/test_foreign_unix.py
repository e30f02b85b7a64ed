"""
The doctor and a stranger's shop: nginx and uWSGI share a socket, SQLite, everything mounted from a folder.

Each fault is made for real, shows its symptom as people see it, is named, and is gone when mended.
They are grouped by symptom: what looks the same must be told apart.
"""

import http.client
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
import requests
from whichhop.finding import HOPS, Verdict
from whichhop.target.discovery import sites

from tests.foreign.examination import (
    advice,
    assert_healthy,
    examine,
    findings,
    named,
    parameters,
    running,
)
from tests.foreign.stranger import SHOP, Fault, Stranger, crowd, login, upload, upload_and_look
from tests.support.doctor import first_broken, listing
from tests.support.stack import StackError

CONF = "nginx/shop.conf"
INI = "uwsgi.ini"
SETTINGS = "../shop/shop/settings.py"
COMPOSE = "compose.yaml"
CSS = "/static/admin/css/base.css"
SILENT = "generated 145 bytes .* 500"  # all that uWSGI logs of Django's error page


def ini(new: str, old: str = "vacuum = true") -> tuple[str, str, str]:
    """Return an edit of uwsgi.ini: one more line, or another one."""
    return INI, old, new if old != "vacuum = true" else f"{old}\n{new}"


def sql(statement: str) -> str:
    """Return a command that runs a statement on the shop's database, past Django."""
    return (
        "python3 -c \"import sqlite3; db = sqlite3.connect('/db/shop.sqlite3');"
        f' db.execute(\\"{statement}\\"); db.commit()"'
    )


def setting(line: str) -> tuple[str, str, str]:
    """Return an edit of settings.py: one more line."""
    return SETTINGS, "USE_TZ = True", f"USE_TZ = True\n{line}"


def kill_a_busy_worker(stranger: Stranger) -> requests.Response:
    with ThreadPoolExecutor() as visitor:
        slow = visitor.submit(stranger.ask, "/slow/?s=2")
        stranger.act(
            "django",
            'sleep 0.5; until w=$(cat /proc/1/task/1/children) && [ "$w" ]; do sleep 0.1; done; kill -9 $w',
        )
        return slow.result()


def give_up(stranger: Stranger) -> requests.Response:
    return stranger.ask("/slow/?s=1", timeout=0.3)


def same_cookie(stranger: Stranger) -> requests.Response | None:
    """Two people ask for the form to log in, and both are the same person for Django."""
    first, second = (stranger.ask("/admin/login/") for _ in range(2))
    return second if first.headers.get("Set-Cookie") == second.headers.get("Set-Cookie") else None


def announce(length: int) -> Callable[[Stranger], requests.Response]:
    """Announce a body of a length, and send none of it: nginx decides by the header alone."""

    def ask(stranger: Stranger) -> requests.Response:
        connection = http.client.HTTPConnection("127.0.0.1", int(stranger.variables["HTTP_PORT"]))
        connection.putrequest("POST", "/upload/", skip_host=True)
        connection.putheader("Host", "shop.example.org")
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        answer = requests.Response()
        answer.status_code = connection.getresponse().status
        connection.close()
        return answer

    return ask


def with_a_fat_cookie(stranger: Stranger) -> requests.Response:
    return stranger.ask("/", headers={"Cookie": "c=" + "x" * 9000})


def migrate_and_look(stranger: Stranger) -> requests.Response:
    stranger.wait_for("the site answers", lambda: stranger.status() in (200, 500))
    stranger.manage("django", "migrate")
    return stranger.ask()


def fill_the_disk_and_upload(stranger: Stranger) -> requests.Response:
    migrate_and_look(stranger)
    stranger.act("django", "cat /dev/zero >/db/zeros || true")
    return upload()(stranger)


FAULTS = {
    "no answer": [
        Fault(
            "port-unreachable-or-foreign",
            "port-not-published",
            ((COMPOSE, "ports:\n      - 127.0.0.1:${HTTP_PORT}:80", "expose: [80]"),),
            again=("web",),
            status=0,
        ),
        Fault(
            "port-unreachable-or-foreign",
            "port-leads-nowhere",
            ((COMPOSE, ":80\n", ":8080\n"),),
            again=("web",),
            status=0,
        ),
        Fault(
            "port-unreachable-or-foreign",
            "nginx-listens-on-localhost",
            ((CONF, "listen 80;", "listen 127.0.0.1:80;"),),
            again=("web",),
            status=0,
        ),
        Fault(
            "nginx-config-invalid",
            "nginx-config-invalid",
            ((CONF, "uwsgi_pass", "uwsgi_pas"),),
            again=("web",),
            status=0,
            log=(
                "web",
                r'\[emerg\].* unknown directive "uwsgi_pas" in /etc/nginx/conf.d/shop.conf:',
            ),
        ),
        Fault(
            "nginx-config-invalid",
            "nginx-config-invalid",
            ((CONF, "include uwsgi_params", "include conf.d/params"),),
            again=("web",),
            status=0,
            log=("web", r'\[emerg\].* open\(\) "/etc/nginx/conf.d/params" failed \(2:'),
        ),
        Fault(
            "bind-mounted-config-wrong",
            "mount-is-a-directory",
            (
                (
                    COMPOSE,
                    "./nginx:/etc/nginx/conf.d",
                    "./conf/shop.conf:/etc/nginx/conf.d/shop.conf",
                ),
            ),
            again=("web",),
            status=0,
            log=(
                "web",
                r'\[crit\].* pread\(\) "/etc/nginx/conf.d/shop.conf" failed \(21: Is a dir',
            ),
        ),
    ],
    "another page": [
        Fault(
            "default-server-answers",
            "other-server-answers",
            ((COMPOSE, "./nginx:/etc/nginx/conf.d", "./nginx/shop.conf:/etc/nginx/conf.d/shop"),),
            again=("web",),
            status=200,
            log=("web", r'"GET / HTTP/1.1" 200 6\d\d '),
        ),
        Fault(
            "default-server-answers",
            "other-server-answers",
            (
                (
                    COMPOSE,
                    "./nginx:/etc/nginx/conf.d",
                    "./nginx/shop.conf:/etc/nginx/conf.d/shop.conf",
                ),
                (CONF, "server_name shop.example.org", "server_name localhost"),
            ),
            again=("web",),
            status=200,
            log=("web", r'\[warn\].* conflicting server name "localhost" on 0.0.0.0:80, ignored'),
        ),
    ],
    "another visitor's cookie": [
        Fault(
            "cookies-cached",
            "cookies-cached",
            (
                (
                    CONF,
                    "server {\n",
                    f"uwsgi_cache_path /tmp/cache keys_zone=shop:1m;\nserver {{\n{line}\n",
                ),
            ),
            again=("web",),
            status=200,
            ask=same_cookie,
        )
        for line in (
            "uwsgi_cache shop; uwsgi_cache_key $host$request_uri; uwsgi_cache_valid 200 1m;"
            " uwsgi_ignore_headers Cache-Control Expires Set-Cookie;",
            "uwsgi_cache shop; uwsgi_cache_key $host$request_uri; uwsgi_cache_valid 200 1m;"
            " uwsgi_ignore_headers Cache-Control Expires Set-Cookie Vary; uwsgi_hide_header X-Any;",
        )
    ],
    "a redirect for ever": [
        Fault(
            "https-redirect-loop",
            "nginx-redirect-loop",
            ((CONF, "listen 80;", "listen 80;\n    return 301 https://$host$request_uri;"),),
            again=("web",),
            status=301,
            ask=CSS,
        ),
        Fault(
            "https-redirect-loop",
            "https-redirect-loop",
            (setting("SECURE_SSL_REDIRECT = True"),),
            again=("django",),
            status=301,
            log=("django", r"generated 0 bytes .* 301"),
        ),
    ],
    "502, upstream prematurely closed": [
        Fault(
            "uwsgi-params-missing",
            "uwsgi-params-missing",
            ((CONF, "include uwsgi_params;", ""),),
            again=("web",),
            log=("django", "KeyError: 'REQUEST_METHOD'"),
        ),
        Fault(
            "uwsgi-params-missing",
            "uwsgi-params-missing",
            (
                (CONF, "include uwsgi_params;", "uwsgi_param SERVER_ADMIN root;"),
                (CONF, "listen 80;", "listen 80;\n    include uwsgi_params;"),
            ),
            again=("web",),
            log=("django", r"\]  \(\) {\d+ vars in \d+ bytes} .* \( 500\) 0 headers"),
        ),
        Fault(
            "urlconf-import-error-502",
            "urlconf-broken",
            (("../shop/shop/urls.py", "import models, views", "import models, viewz as views"),),
            again=("django",),
            log=("django", r"ImportError: cannot import name 'viewz'"),
        ),
        Fault(
            "env-or-secret-key-missing",
            "secret-key-empty",
            ((SETTINGS, 'os.environ["SHOP_SECRET"]', 'os.environ.get("SECRET", "")'),),
            again=("django",),
            ask="/admin/login/",
            log=("django", "ImproperlyConfigured: The SECRET_KEY setting must not be empty"),
        ),
        Fault(
            "python-plugin-missing",
            "python-plugin-missing",
            (ini("", "plugins = python3\n"), ini("", "need-app = true\n")),
            again=("django",),
            log=("django", "-- unavailable modifier requested: 0 --"),
        ),
        Fault(
            "worker-killed",
            "worker-killed",
            again=("django", "web"),
            ask=kill_a_busy_worker,
            log=("django", r"DAMN ! worker \d \(pid: \d+\) died, killed by signal 9"),
        ),
        Fault(
            "worker-killed",
            "worker-out-of-memory",
            (
                (
                    COMPOSE,
                    "  django:\n",
                    "  django:\n    mem_limit: 160m\n    memswap_limit: 160m\n",
                ),
            ),
            again=("django", "web"),
            ask="/memory/?mb=400",
            log=("django", r"DAMN ! worker \d \(pid: \d+\) died, killed by signal 9"),
        ),
        Fault(
            "worker-segfault",
            "worker-crashed",
            again=("django", "web"),
            ask="/crash/",
            log=("django", r"!!! uWSGI process \d+ got Segmentation Fault !!!"),
        ),
        Fault(
            "harakiri",
            "harakiri",
            (ini("harakiri = 1"),),
            again=("django", "web"),
            ask="/slow/?s=5",
            log=("django", r"HARAKIRI ON WORKER \d"),
        ),
    ],
    "502, connection reset by peer": [
        Fault(
            "request-block-too-big",
            "request-block-too-big",
            again=("django", "web"),
            ask="/?q=" + "x" * 2500,
            log=(
                "web",
                r"recv\(\) failed \(104: Connection reset by peer\) while reading response",
            ),
        ),
        Fault(
            "body-too-large-413",
            "uwsgi-post-limit",
            (ini("limit-post = 1000"),),
            again=("django", "web"),
            ask=upload(200_000),
            log=("django", r"Invalid \(too big\) CONTENT_LENGTH. skip."),
        ),
    ],
    "502, too big a header": [
        Fault(
            "response-header-too-big",
            "response-header-too-big",
            again=("web",),
            ask="/big-headers/?n=9000",
            log=("web", "upstream sent too big header while reading response header"),
        ),
    ],
    "502, (11: Resource temporarily unavailable)": [
        Fault(
            "listen-queue-full-unix",
            "socket-queue-full",
            (ini("listen = 2"), (CONF, "uwsgi_read_timeout 10s", "uwsgi_read_timeout 1s")),
            again=("django", "web"),
            ask=crowd("django"),
            log=("web", r"shop.sock failed \(11: Resource temporarily unavailable\)"),
        ),
    ],
    "504": [
        Fault(
            "slow-view-504",
            "page-too-slow",
            ((CONF, "uwsgi_read_timeout 10s", "uwsgi_read_timeout 1s"),),
            again=("django", "web"),
            ask="/slow/?s=2",
            status=504,
            log=("web", r"upstream timed out \(110: .*\) while reading response header"),
        ),
    ],
    "502, (2: No such file or directory)": [
        Fault(
            "socket-missing",
            "socket-missing",
            (ini("socket = /sockets/other.sock", "socket = /sockets/shop.sock"),),
            ("django", "rm /sockets/shop.sock", "rm /sockets/other.sock"),
            again=("django",),
            log=("web", r"connect\(\) to unix:/var/run/shop/shop.sock failed \(2:"),
        ),
        Fault(
            "socket-volume-mismatch",
            "socket-volumes-differ",
            ((COMPOSE, "sockets:/sockets", "./sockets:/sockets"),),
            ("django", "rm /sockets/shop.sock", ""),
            again=("django",),
            log=("web", r"connect\(\) to unix:/var/run/shop/shop.sock failed \(2:"),
        ),
    ],
    "502, (111: Connection refused)": [
        Fault(
            "socket-stale-refused",
            "socket-stale",
            (ini("socket = /sockets/other.sock", "socket = /sockets/shop.sock"),),
            again=("django",),
            log=("web", r"connect\(\) to unix:/var/run/shop/shop.sock failed \(111:"),
        ),
        Fault(
            "socket-stale-refused",
            "socket-is-a-file",
            act=(
                "django",
                "cd /sockets; mv shop.sock away; touch shop.sock; chmod 666 shop.sock",
                "cd /sockets; mv away shop.sock",
            ),
            log=("web", r"connect\(\) to unix:/var/run/shop/shop.sock failed \(111:"),
        ),
        Fault(
            "uwsgi-bind-failed",
            "uwsgi-cannot-bind",
            (ini("socket = /run/shop/shop.sock", "socket = /sockets/shop.sock"),),
            again=("django",),
            log=("django", r"bind\(\): No such file or directory \[core/socket.c"),
        ),
        Fault(
            "uwsgi-bind-failed",
            "uwsgi-cannot-bind",
            (ini("socket = /run/shop.sock", "socket = /sockets/shop.sock"),),
            again=("django",),
            log=("django", r"bind\(\): Permission denied \[core/socket.c"),
        ),
        Fault(
            "backlog-above-somaxconn",
            "listen-above-somaxconn",
            (ini("listen = 100000"),),
            again=("django",),
            log=("django", "Listen queue size is greater than the system max net.core.somaxconn"),
        ),
        Fault(
            "no-python-application",
            "app-not-loaded",
            (ini("module = shop.wsgi:app", "module = shop.wsgi:application"),),
            again=("django",),
            log=("django", r"unable to load app 0 \(mountpoint=''\) \(callable not found"),
        ),
        Fault(
            "env-or-secret-key-missing",
            "app-not-loaded",
            (("entrypoint.sh", "export SHOP_SECRET", "export SHOP_SECRETS"),),
            again=("django",),
            log=("django", "KeyError: 'SHOP_SECRET'"),
        ),
        Fault(
            "reload-with-broken-code",
            "app-not-loaded",
            (("../shop/shop/wsgi.py", "import get_wsgi_application", "import get_application"),),
            ("django", "kill -HUP 1", ""),
            log=("django", r"\*\*\* no app loaded. GAME OVER \*\*\*"),
        ),
        Fault(
            "shared-library-missing",
            "shared-library-missing",
            (("entrypoint.sh", "set -e\n", "set -e\nrm -f /usr/lib/*/libyajl.so.2\n"),),
            again=("django",),
            recreate=True,
            log=("django", "error while loading shared libraries: libyajl.so.2: cannot open"),
        ),
        Fault(
            "virtualenv-mismatch",
            "virtualenv-wrong",
            (ini("home = /venv"),),
            again=("django",),
            log=("django", "Python Home is not a directory: /venv|No module named 'encodings'"),
        ),
        Fault(
            "entrypoint-not-executable",
            "entrypoint-not-executable",
            act=("here", "chmod -x entrypoint.sh", "chmod +x entrypoint.sh"),
            again=("django",),
            log=("django", "/opt/shop/entrypoint.sh.*: permission denied"),
        ),
        Fault(
            "entrypoint-not-executable",
            "entrypoint-not-executable",
            (("entrypoint.sh", "#!/bin/sh\n", "#!/bin/sh\r\n"),),
            again=("django",),
            log=("django", "exec /opt/shop/entrypoint.sh: no such file or directory"),
        ),
        Fault(
            "collectstatic-fails",
            "collectstatic-failed",
            (
                ("entrypoint.sh", "exec", "python3 /code/manage.py collectstatic --no-input\nexec"),
                (SETTINGS, 'STATIC_ROOT = FILES / "static"', ""),
            ),
            again=("django",),
            log=("django", "ImproperlyConfigured: You're using the staticfiles app without having"),
        ),
    ],
    "502, (13: Permission denied)": [
        Fault(
            "socket-permission-denied",
            "socket-mode",
            (ini("", "chmod-socket = 666\n"),),
            again=("django",),
            log=("web", r"connect\(\) to unix:/var/run/shop/shop.sock failed \(13:"),
        ),
        Fault(
            "socket-permission-denied",
            "socket-group",
            act=(
                "django",
                "cd /sockets; stat -c 'chown %u:%g shop.sock; chmod %a shop.sock' shop.sock >/tmp/mend;"
                " chown root:nogroup shop.sock; chmod 660 shop.sock",
                "cd /sockets; . /tmp/mend",
            ),
            log=("web", r"connect\(\) to unix:/var/run/shop/shop.sock failed \(13:"),
        ),
        Fault(
            "socket-permission-denied",
            "socket-directory-private",
            act=("django", "chmod 700 /sockets", "chmod 755 /sockets"),
            log=("web", r"connect\(\) to unix:/var/run/shop/shop.sock failed \(13:"),
        ),
    ],
    "404 for static files": [
        Fault(
            "static-not-routed",
            "static-not-routed",
            ((CONF, "location /static/", "location /assets/"),),
            again=("web",),
            ask=CSS,
            status=404,
            log=("django", rf"GET {CSS} => generated \d+ bytes .* 404"),
        ),
        Fault(
            "static-alias-missing-slash",
            "static-alias-glued",
            ((CONF, "nginx/static/;", "nginx/static;"),),
            again=("web",),
            ask=CSS,
            status=404,
            log=("web", r'open\(\) "/usr/share/nginx/staticadmin/css/base.css" failed \(2:'),
        ),
        Fault(
            "static-root-vs-alias",
            "static-root-doubled",
            ((CONF, "alias /usr/share/nginx/static/", "root /usr/share/nginx/static"),),
            again=("web",),
            ask=CSS,
            status=404,
            log=(
                "web",
                r'open\(\) "/usr/share/nginx/static/static/admin/css/base.css" failed \(2:',
            ),
        ),
        Fault(
            "static-not-collected",
            "static-missing",
            act=("django", "cd /files/static; mv admin away", "cd /files/static; mv away admin"),
            ask=CSS,
            status=404,
            log=("web", r'open\(\) "/usr/share/nginx/static/admin/css/base.css" failed \(2:'),
        ),
    ],
    "static files, but not right": [
        Fault(
            "static-permission-denied",
            "static-permission-denied",
            act=("django", "chmod 700 /files/static", "chmod 755 /files/static"),
            ask=CSS,
            status=403,
            log=("web", r'open\(\) "/usr/share/nginx/static/admin/css/base.css" failed \(13:'),
        ),
        Fault(
            "mime-type-wrong",
            "static-wrong-type",
            act=(
                "web",
                "cd /etc/nginx; cp nginx.conf saved; sed -i /mime.types/d nginx.conf; nginx -s reload",
                "cd /etc/nginx; mv saved nginx.conf; nginx -s reload",
            ),
            ask=CSS,
            status=200,
        ),
        Fault(
            "static-stale-volume",
            "static-stale",
            act=(
                "django",
                "cd /files/static/admin/css; cp base.css saved; echo '/* of last year */' >base.css",
                "cd /files/static/admin/css; mv saved base.css",
            ),
            ask=CSS,
            status=200,
        ),
    ],
    "404 and 403 for uploads": [
        Fault(
            "media-not-served",
            "media-not-routed",
            ((CONF, "location /media/", "location /files/"),),
            again=("web",),
            ask=upload_and_look(),
            status=404,
            log=("django", "GET /media/photos/.* 404"),
        ),
        Fault(
            "media-not-served",
            "media-missing",
            ((COMPOSE, "media:/usr/share/nginx/media", "./media:/usr/share/nginx/media"),),
            again=("web",),
            ask=upload_and_look(),
            status=404,
            log=("web", r'open\(\) "/usr/share/nginx/media/photos/.*" failed \(2:'),
        ),
        Fault(
            "media-403-big-uploads",
            "media-permission-denied",
            (setting("FILE_UPLOAD_PERMISSIONS = None"),),
            ("django", "true", "rm -r /files/media/photos"),
            again=("django",),
            ask=upload_and_look(3 << 20),
            status=403,
            log=("web", r'open\(\) "/usr/share/nginx/media/photos/.*" failed \(13:'),
        ),
    ],
    "403 for forms": [
        Fault(
            "distro-uwsgi-params-drops-port",
            "host-port-lost",
            ((CONF, "include uwsgi_params;", "include uwsgi_params.debian;"),),
            again=("web",),
            ask=login,
            status=403,
        ),
        Fault(
            "secure-cookie-over-http",
            "secure-cookie-over-http",
            (setting("CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = True"),),
            again=("django",),
            ask=login,
            status=403,
        ),
    ],
    "400": [
        Fault(
            "disallowed-host",
            "host-refused",
            ((COMPOSE, "SHOP_HOST: shop.", "SHOP_HOST: www."),),
            again=("django",),
            status=400,
            log=("django", "generated 143 bytes .* 400"),
        ),
        Fault(
            "request-header-too-large",
            "request-header-too-large",
            ((CONF, "listen 80;", "listen 80;\n    error_log /var/log/nginx/error.log info;"),),
            again=("web",),
            ask=with_a_fat_cookie,
            status=400,
            log=("web", r'\[info\].* client sent too long header line: "Cookie: '),
            advice=True,
        ),
    ],
    "the client is refused, or leaves": [
        Fault(
            "request-header-too-large",
            "request-header-too-large",
            again=("web",),
            ask="/?q=" + "x" * 9000,
            status=414,
            log=("web", r'" 414 '),
            advice=True,
        ),
        Fault(
            "body-too-large-413",
            "body-too-large",
            again=("web",),
            ask=announce(21 << 20),
            status=413,
            log=("web", "client intended to send too large body: 22020096 bytes"),
            advice=True,
        ),
        Fault(
            "client-abort-499",
            "client-gave-up",
            again=("web", "django"),
            ask=give_up,
            status=0,
            log=("web", r'" 499 0 '),
            advice=True,
        ),
        Fault(
            "benign-noise-lines",
            "client-gave-up",
            again=("web", "django"),
            ask=give_up,
            status=0,
            log=("django", r"SIGPIPE: writing to a closed pipe|Broken pipe \[core/writer.c"),
            advice=True,
        ),
    ],
    "500, and no word in any log": [
        Fault(
            "debug-false-silent-500",
            "page-raises",
            (("../shop/shop/views.py", "names = ", "raise KeyError('colour')\n    names = "),),
            again=("django",),
            status=500,
            log=("django", SILENT),
        ),
        Fault(
            "debug-false-silent-500",
            "errors-not-logged",
            again=("django",),
            ask="/boom/",
            status=500,
            log=("django", SILENT),
            advice=True,
        ),
        Fault(
            "manifest-entry-missing",
            "static-manifest-entry-missing",
            (
                setting(
                    "STATICFILES_STORAGE ="
                    " 'django.contrib.staticfiles.storage.ManifestStaticFilesStorage'"
                ),
            ),
            again=("django",),
            ask="/admin/login/",
            status=500,
            log=("django", SILENT),
        ),
        Fault(
            "migrations-missing",
            "migrations-missing",
            act=(
                "django",
                "cd /db; mv shop.sqlite3 saved; install -o www-data -m 644 /dev/null shop.sqlite3",
                "cd /db; mv saved shop.sqlite3",
            ),
            again=("django",),
            status=500,
            log=("django", SILENT),
        ),
        Fault(
            "sqlite-file-permissions",
            "database-not-writable",
            act=(
                "django",
                "chown root /db /db/shop.sqlite3",
                "chown www-data /db /db/shop.sqlite3",
            ),
            ask=upload(),
            again=("django",),
            status=500,
            log=("django", SILENT),
        ),
        Fault(
            "media-write-denied",
            "media-not-writable",
            act=("django", "chown -R root /files/media", "chown -R www-data /files/media"),
            ask=upload(),
            status=500,
            log=("django", SILENT),
        ),
        Fault(
            "log-flood-disk-full",
            "disk-full",
            (
                (COMPOSE, "./files/db:/db", "small:/db"),
                (
                    COMPOSE,
                    "volumes:\n  media:",
                    "volumes:\n  small: {driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}\n  media:",
                ),
            ),
            again=("django",),
            ask=fill_the_disk_and_upload,
            status=500,
            log=("django", "POST /upload/ => " + SILENT),
        ),
        Fault(
            "locale-ascii",
            "locale-ascii",
            ((COMPOSE, "SHOP_FILES: /files", "SHOP_FILES: /files\n      LANG: C"),),
            again=("django",),
            ask=upload(name="café.png"),
            advice=True,
            status=500,
            log=("django", SILENT),
        ),
    ],
    "500, another page": [
        Fault(
            "no-python-application",
            "no-python-application",
            (
                ini("module = shop.wsgi:app", "module = shop.wsgi:application"),
                ini("", "need-app = true\n"),
            ),
            again=("django",),
            status=500,
            log=(
                "django",
                "--- no python application found, check your startup logs for errors ---",
            ),
        ),
        Fault(
            "nginx-temp-dir-full",
            "nginx-temp-full",
            (
                (
                    COMPOSE,
                    "    depends_on: [django]\n",
                    "    depends_on: [django]\n    tmpfs: ['/var/lib/nginx/body:size=64k,mode=777']\n",
                ),
            ),
            again=("web",),
            ask=upload(200_000),
            status=500,
            log=(
                "web",
                r'\[crit\].* pwritev?\(\) "/var/lib/nginx/body/\d+" (?:failed|has written)',
            ),
        ),
        Fault(
            "nginx-temp-dir-unwritable",
            "nginx-temp-unwritable",
            act=("web", "chown root /var/lib/nginx/body", "chown nginx /var/lib/nginx/body"),
            ask=upload(200_000),
            status=500,
            log=("web", r'\[crit\].* open\(\) "/var/lib/nginx/body/\d+" failed \(13:'),
        ),
    ],
    "works, and will hurt later": [
        Fault(
            "nginx-alias-traversal",
            "alias-leads-out",
            ((CONF, "location /static/ {", "location /static {"),),
            again=("web",),
            ask=CSS,
            status=200,
            advice=True,
        ),
        Fault(
            "timeout-of-another-protocol",
            "timeout-without-effect",
            ((CONF, "uwsgi_read_timeout 10s;", "proxy_read_timeout 100s;"),),
            again=("web",),
            status=200,
            advice=True,
        ),
        Fault(
            "uwsgi-bad-option",
            "uwsgi-option-not-a-number",
            (ini("max-requests = 1,000"),),
            again=("django",),
            status=200,
        ),
        Fault(
            "stop-not-graceful",
            "stop-cuts-requests-off",
            ((COMPOSE, "  django:\n", "  django:\n    stop_signal: SIGQUIT\n"),),
            again=("django",),
            status=200,
            advice=True,
        ),
        Fault(
            "sigterm-reloads-or-not-delivered",
            "stop-reloads",
            (
                (COMPOSE, "  django:\n", "  django:\n    stop_signal: SIGQUIT\n"),
                ini("die-on-term = true"),
            ),
            again=("django",),
            status=200,
            advice=True,
        ),
        Fault(
            "healthcheck-false-negative",
            "healthcheck-wrong",
            (
                (
                    COMPOSE,
                    "  django:\n",
                    "  django:\n    healthcheck:\n      test: [CMD, curl, --fail, http://localhost/]\n"
                    "      interval: 1s\n      retries: 1\n",
                ),
            ),
            again=("django",),
            status=200,
            log=("django", 'exec: "curl": executable file not found in'),
        ),
        Fault(
            "migrations-missing",  # and the health check, which says so, is right
            "migrations-missing",
            (
                (
                    COMPOSE,
                    "  django:\n",
                    "  django:\n    healthcheck:\n      test: [CMD, sh, -c, echo not migrated; false]\n"
                    "      interval: 1s\n      retries: 1\n",
                ),
            ),
            (
                "django",
                sql("UPDATE django_migrations SET app = '-shop' WHERE app = 'shop'"),
                sql("UPDATE django_migrations SET app = 'shop' WHERE app = '-shop'"),
            ),
            again=("django",),
            status=200,
            log=("django", "not migrated"),
        ),
        Fault(
            "uwsgi-bad-option",
            "uwsgi-option-misspelt",
            (ini("harakari = 20"),),
            again=("django",),
            status=200,
        ),
        Fault(
            "data-lost-on-recreate",
            "database-not-on-volume",
            ((COMPOSE, "/db/shop.sqlite3", "/tmp/shop.sqlite3"),),
            again=("django",),
            ask=migrate_and_look,
            status=200,
        ),
        Fault(
            "data-lost-on-recreate",
            "media-not-on-volume",
            ((SETTINGS, 'MEDIA_ROOT = FILES / "media"', 'MEDIA_ROOT = "/tmp/media"'),),
            again=("django",),
            status=200,
        ),
        Fault(
            "debug-false-silent-500",
            "debug-on",
            ((SETTINGS, "DEBUG = False", "DEBUG = True"),),
            again=("django",),
            status=200,
        ),
        Fault(
            "wrong-absolute-urls",
            "host-spoofable",
            (setting("USE_X_FORWARDED_HOST = True"),),
            again=("django",),
            status=200,
            advice=True,
        ),
        Fault(
            "sigterm-reloads-or-not-delivered",
            "stop-not-delivered",
            (("entrypoint.sh", "exec ", ""),),
            again=("django",),
            status=200,
            advice=True,
        ),
        Fault(
            "sigterm-reloads-or-not-delivered",
            "stop-reloads",
            (ini("", "hook-master-start = unix_signal:15 gracefully_kill_them_all\n"),),
            again=("django",),
            status=200,
            advice=True,
        ),
        Fault(
            "stop-not-graceful",
            "stop-cuts-requests-off",
            (
                ini(
                    "die-on-term = true",
                    "hook-master-start = unix_signal:15 gracefully_kill_them_all",
                ),
            ),
            again=("django",),
            status=200,
            advice=True,
        ),
    ],
}


@pytest.fixture(scope="module")
def patient(
    run: str, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stranger]:
    with running("unix", run, free_port, tmp_path_factory) as stranger:
        yield stranger


def test_a_strangers_stack_is_healthy(patient: Stranger) -> None:
    (site,) = sites(patient.stack)
    assert (site.nginx.name, site.app.name) == ("web", "django")
    started = time.monotonic()
    found = assert_healthy(patient)
    assert time.monotonic() - started < 20
    assert list(dict.fromkeys(finding.hop for finding in found)) == list(HOPS)


def test_services_can_be_named(patient: Stranger) -> None:
    (site,) = sites(patient.stack, nginx="web", app="django")
    assert (site.nginx.name, site.app.name) == ("web", "django")
    with pytest.raises(StackError, match="gunicorn"):
        sites(patient.stack, app="gunicorn")


@pytest.mark.parametrize("fault", parameters(FAULTS))
def test_a_fault_is_named_and_gone_when_mended(
    patient: Stranger, fault: Fault, record_property: Callable[[str, object], None]
) -> None:
    examine(patient, fault, record_property)


def test_a_corrected_file_that_nginx_never_sees(
    patient: Stranger, record_property: Callable[[str, object], None]
) -> None:
    """The entry bind-mounted-config-wrong: a mounted file that an editor replaces stays the old one."""
    patient.edit(COMPOSE, "./nginx:/etc/nginx/conf.d", f"./{CONF}:/etc/nginx/conf.d/default.conf")
    patient.edit(CONF, "nginx/static/;", "nginx/static;")
    try:
        patient.again("web", recreate=True)
        conf = patient.directory / CONF
        corrected = conf.with_suffix(".new")
        corrected.write_text(conf.read_text().replace("nginx/static;", "nginx/static/;"))
        corrected.rename(conf)
        patient.act("web", "nginx -s reload")
        patient.wait_for("still 404", lambda: patient.status(CSS) == 404)
        named(patient, "bind-mounted-config-wrong", "mount-is-stale", record_property)
    finally:
        patient.restore()
        patient.again("web", recreate=True)
    patient.wait_until_healthy()
    assert_healthy(patient)


def test_a_cache_that_tells_visitors_apart_is_no_fault(patient: Stranger) -> None:
    keep = "uwsgi_cache shop; uwsgi_cache_key $host$request_uri; uwsgi_cache_valid 200 1m;"
    patient.edit(CONF, "server {\n", "uwsgi_cache_path /tmp/cache keys_zone=shop:1m;\nserver {\n")
    try:
        for line in (
            keep,  # nginx by itself keeps nothing with Set-Cookie
            f"{keep} uwsgi_ignore_headers Expires;",
            f"{keep} uwsgi_ignore_headers Set-Cookie; uwsgi_no_cache $http_cookie; uwsgi_cache_bypass $http_cookie;",
            f"{keep} uwsgi_ignore_headers Set-Cookie; uwsgi_hide_header Set-Cookie;",
        ):
            patient.edit(CONF, "server {\n", f"server {{ {line}\n")
            patient.again("web")
            patient.wait_until_healthy()
            patient.edit(CONF, f"server {{ {line}\n", "server {\n")
    finally:
        patient.restore()
        patient.again("web")
    patient.wait_until_healthy()


FORGED = (
    '2026/11/29 23:44:37 [error] 7#7: *1 connect() to unix:/var/run/shop/shop.sock failed (11: Resource'
    " temporarily unavailable) while connecting to upstream",
    "2026/11/29 23:44:37 [error] 7#7: *1 upstream sent too big header while reading response header",
    '2026/11/29 23:44:37 [crit] 7#7: *1 open() "/var/lib/nginx/body/0000000001" failed (13: Permission denied)',
)  # fmt: skip


@pytest.mark.parametrize("path", ["/static/x", "/media/x"])
def test_a_line_that_a_client_writes_is_not_believed(patient: Stranger, path: str) -> None:
    """nginx logs the decoded path: behind a line feed, the client's text looks like a line of its own."""
    patient.since = time.time()
    assert patient.status(path + quote("\n\x1b[31m".join(["", *FORGED, ""]))) == 404
    assert patient.status(path + quote("\n".join(["", *FORGED, ""]))) == 404
    patient.wait_for("they are in the log", lambda: patient.log("web").count(FORGED[2]) == 2)
    found = assert_healthy(patient)
    assert advice(found) == ["errors-not-logged"]  # as ever
    # And in a file.
    patient.edit(CONF, "server {\n", "error_log /var/log/nginx/shop.log;\nserver {\n")
    try:
        patient.again("web")
        patient.wait_until_healthy()
        assert patient.status(path + quote("\n".join(["", *FORGED, ""]))) == 404
        assert advice(assert_healthy(patient)) == ["errors-not-logged"]
    finally:
        patient.restore()
        patient.again("web")
    patient.wait_until_healthy()


@pytest.mark.parametrize(
    "lines",
    [
        "log-date = [%%a %%d.%%m. %%H:%%M]",
        "log-prefix = shop",
        'log-encoder = json {"at":"${strftime:%%FT%%T}","said":"${msg}"}\nlog-encoder = nl',
    ],
    ids=["date", "prefix", "json"],
)
def test_a_killed_worker_in_whatever_form_uwsgi_logs(patient: Stranger, lines: str) -> None:
    patient.edit(*ini(lines))
    try:
        patient.again("django")
        patient.wait_until_healthy()
        patient.act("django", "kill -9 $(cut -d' ' -f1 /proc/1/task/1/children)")
        patient.wait_for("its end is logged", lambda: "DAMN !" in patient.log("django"))
        patient.wait_until_healthy()
        assert first_broken(findings(patient)).cause == "worker-killed"
    finally:
        patient.restore()
        patient.again("django")
        patient.since = time.time()
    patient.wait_until_healthy()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("add_header Content-Encoding dcb;", "comes encoded as dcb"),
        ("if ($http_accept_encoding = gzip) { return 503; }", "answers 503"),
        ("if ($http_accept_encoding = gzip) { add_header Content-Encoding gzip; }", "be decoded"),
    ],
)
def test_an_answer_that_is_not_the_file_is_no_stale_file(
    patient: Stranger, lines: str, reason: str
) -> None:
    patient.edit(
        CONF, "alias /usr/share/nginx/static/;", f"alias /usr/share/nginx/static/; {lines}"
    )
    try:
        patient.again("web")
        patient.wait_until_healthy()
        (found,) = findings(patient, hops=["static"])
        assert (found.verdict, found.cause) == (Verdict.UNKNOWN, ""), found
        assert reason in found.summary
    finally:
        patient.restore()
        patient.again("web")
    patient.wait_until_healthy()


def test_a_buffer_that_is_smaller_than_it_looks(patient: Stranger) -> None:
    """64k is 64 to uWSGI, for which each request is too large."""
    patient.edit(*ini("buffer-size = 64k"))
    try:
        patient.again("django")
        patient.wait_for("502", lambda: patient.status() == 502)
        found = first_broken(findings(patient))
        assert (found.hop, found.cause) == ("uwsgi", "uwsgi-option-not-a-number")
        assert "buffer-size = 64k for 64" in found.summary
    finally:
        patient.restore()
        patient.again("django")
        patient.since = time.time()
    patient.wait_until_healthy()


@pytest.mark.parametrize("limit", ["size=100k", "nr_inodes=12"])
def test_no_room_for_uploads_is_a_fault_of_the_hop_media(patient: Stranger, limit: str) -> None:
    patient.edit(COMPOSE, "      - media:/files/media", "      - uploads:/files/media")
    small = f"{{driver_opts: {{type: tmpfs, device: tmpfs, o: '{limit},mode=777'}}}}"
    patient.edit(COMPOSE, "volumes:\n  media:", f"volumes:\n  uploads: {small}\n  media:")
    try:
        patient.again("django", recreate=True)
        patient.wait_until_healthy()
        fill = "for n in $(seq 20); do head -c 9000 /dev/zero >$n || true; done"
        patient.act("django", f"cd /files/media; {fill} 2>/dev/null")
        found = first_broken(findings(patient))
        assert (found.hop, found.cause) == ("media", "disk-full")
        assert "There is no room left where /files/media is" in found.summary
    finally:
        patient.restore()
        patient.again("django", recreate=True)
        patient.stack.engine.volumes.get(f"{patient.project}_uploads").remove()
    patient.wait_until_healthy()


def test_a_stack_whose_log_nobody_keeps(patient: Stranger) -> None:
    """That is said once for each service, and every hop is judged by what else there is."""
    for service in ("web", "django"):
        none = f"  {service}:\n    logging: {{driver: none}}\n"
        patient.edit(COMPOSE, f"  {service}:\n", none)
    try:
        patient.again("web", "django", recreate=True)
        patient.wait_until_healthy()
        assert advice(assert_healthy(patient)).count("no-log") == 2
        patient.act("django", "chmod 600 /sockets/shop.sock")
        assert first_broken(findings(patient)).cause == "socket-mode"
    finally:
        patient.restore()
        patient.again("web", "django", recreate=True)
    patient.wait_until_healthy()


@pytest.mark.parametrize(
    ("service", "state"),
    [
        ("command: sh -c 'echo no broker; exit 3'\n    restart: always", "exit code 3"),
        ("command: sh -c 'echo no broker; exit 3'", "exited, exit code 3"),
        (
            "command: sleep 999\n    healthcheck: {test: 'false', interval: 1s, retries: 1}",
            "unhealthy",
        ),
        ("command: 'true'", None),
        ("command: sleep 999", None),
    ],
    ids=["restarting", "exited", "unhealthy", "a-job-that-is-done", "up"],
)
def test_a_service_that_is_not_up(patient: Stranger, service: str, state: str | None) -> None:
    worker = f"  worker:\n    image: ${{FOREIGN_IMAGE}}\n    init: true\n    {service}\n"
    patient.edit(COMPOSE, "volumes:\n  media:", f"{worker}\nvolumes:\n  media:")
    try:
        patient.stack.compose("up", "--detach", "--no-deps", "worker")
        ends = re.compile("Restarting|Exited|unhealthy" if state else "Exited|Up")
        patient.wait_for(
            "it has come to this",
            lambda: bool(ends.search(patient.stack.compose("ps", "--all", "worker").stdout)),
        )
        if state:
            found = first_broken(findings(patient))
            assert (found.hop, found.cause) == ("chain", "service-not-up")
            assert "The service worker is not up (" in found.summary
            assert state in found.summary
            if "broker" in service:
                assert "no broker" in found.evidence
        else:
            assert_healthy(patient)
    finally:
        patient.stack.compose("rm", "--stop", "--force", "worker")
        patient.restore()


def test_an_image_that_nobody_started(patient: Stranger) -> None:
    """The entry stale-code-after-deploy: built, and the container not made anew."""
    image = patient.variables["FOREIGN_IMAGE"]
    old = patient.stack.engine.images.get(image)
    patient.stack.container("web").commit(*image.split(":"))
    new = patient.stack.engine.images.get(image)
    try:
        assert new.id != old.id
        assert "image-newer-than-container" in advice(findings(patient))
    finally:
        old.tag(image)
        patient.stack.engine.images.remove(str(new.id))
    assert "image-newer-than-container" not in advice(assert_healthy(patient))


def test_what_a_restart_left_in_the_logs_is_no_fault(patient: Stranger) -> None:
    """A few visitors got 502 while the app was started again; that is over."""
    with ThreadPoolExecutor() as visitor:
        restart = visitor.submit(patient.again, "django")
        while not restart.done():
            patient.status()
    patient.wait_until_healthy()
    assert " 502 " in patient.log("web")
    assert_healthy(patient, SHOP)


def test_what_ended_an_earlier_start_is_not_blamed_for_the_last(patient: Stranger) -> None:
    """The same container, so its log has both; the earlier cause is the one to believe first."""
    faults = {fault.cause: fault for fault in FAULTS["502, (111: Connection refused)"]}
    earlier, last = faults["entrypoint-not-executable"], faults["collectstatic-failed"]
    try:
        earlier.break_it(patient)
        earlier.show(patient)
        patient.restore()
        last.break_it(patient)
        last.show(patient)
        found = findings(patient, hops=HOPS[: HOPS.index("uwsgi") + 1])
        assert first_broken(found).cause == last.cause, listing(found)
    finally:
        last.mend(patient)
        patient.since = time.time()


def test_all_is_mended(patient: Stranger) -> None:
    assert_healthy(patient, SHOP)
