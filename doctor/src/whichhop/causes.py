"""
Every cause that the harness can name: what a person sees, what is wrong, what to do.

One source for the messages of ``scripts/doctor`` and for docs/causes.md. ``{words}`` in braces are
filled in with what was found; ``{app}``, ``{nginx}``, ``{migrate}``… are always known. Each entry is
a failure that people really have, and each has a test that injects it into a running stack.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from whichhop.finding import Finding, Verdict


class Cause(NamedTuple):
    """A cause: its hop, what a person sees, what is wrong (one sentence), and the fix."""

    hop: str
    symptom: str
    wrong: str
    fix: str


PORT = {
    "stack-not-started": Cause(
        "port",
        "connection refused",
        "The stack is not started: the service {nginx} has no container.",
        "docker compose up --build --wait",
    ),
    "nginx-not-running": Cause(
        "port",
        "connection refused",
        "The container of nginx is not running ({state}).",
        "docker compose up --wait; its log says why it ended: docker compose logs {nginx}",
    ),
    "nginx-paused": Cause(
        "port",
        "the browser waits for ever",
        "The container of nginx is paused.",
        "docker compose unpause {nginx}",
    ),
    "port-taken": Cause(
        "port",
        "docker compose up fails at its end: address already in use",
        "nginx could not be started, because its port is taken: {error}",
        "stop the other program, or publish another port; then docker compose up --wait",
    ),
    "port-not-published": Cause(
        "port",
        "connection refused, though nginx runs",
        "nginx runs, but none of its ports is published on this machine.",
        "add a line under ports: of {nginx} in the Compose file (expose: does not publish)",
    ),
    "port-leads-nowhere": Cause(
        "port",
        "connection reset or refused, though nginx runs",
        "{address} leads to port {inside} in the container, but nginx listens on {listens}.",
        "under ports: of {nginx}, put one of these numbers behind the colon",
    ),
    "port-answered-by-another": Cause(
        "port",
        "another site answers, or none",
        "Something answers on {address}, but it is not nginx.",
        "look at the image and the command of the service: docker compose config {nginx}",
    ),
}

TLS = {
    "tls-certificate-missing": Cause(
        "tls",
        "connection refused; nginx restarts again and again",
        "nginx cannot read a certificate or key: {error}",
        "mount both files at the paths that ssl_certificate and ssl_certificate_key name",
    ),
    "tls-key-mismatch": Cause(
        "tls",
        "connection refused; nginx restarts again and again",
        "The certificate and the key do not belong together: {error}",
        "use the key with which the certificate was asked for, or have a new certificate made",
    ),
    "tls-certificate-expired": Cause(
        "tls",
        "the browser warns: certificate expired",
        "The certificate for {host} ended on {end}.",
        "renew it, then: docker compose exec {nginx} nginx -s reload",
    ),
    "tls-certificate-other-name": Cause(
        "tls",
        "the browser warns: wrong name",
        "The certificate is not for {host}, but for {names}.",
        "get one for {host}; or put it into the server block that has this server_name",
    ),
    "tls-chain-incomplete": Cause(
        "tls",
        "some clients refuse the certificate, browsers often do not",
        "The certificate for {host} comes without the intermediate one of {issuer}.",
        "ssl_certificate must name the full chain (fullchain.pem), not the certificate alone",
    ),
    "tls-certificate-ends-soon": Cause(
        "tls",
        "nothing yet",
        "The certificate for {host} ends in {days} days, on {end}.",
        "find out why it was not renewed; nginx needs a reload to see a new one",
    ),
    "certificate-job-failed": Cause(
        "tls",
        "connection refused after docker compose up; or a new certificate that does not show",
        "The service {service}, which gives nginx its certificate, failed: {error}",
        "do what that sentence says, then docker compose up --wait",
    ),
    "certificate-not-issued": Cause(
        "tls",
        "the browser warns; or nothing yet, until the certificate ends",
        "{service} gets no certificate: {error}",
        "do what the server says: the names must lead here, and its port 80 to this stack; at once instead"
        " of in a quarter of an hour: docker compose restart {service}",
    ),
    "tls-plain-port": Cause(
        "tls",
        "wrong version number; a record too long",
        "Port {port} of this machine leads to port {inside} of nginx. Browsers speak TLS there, but nginx"
        " speaks plain HTTP.",
        "listen {inside} ssl; or publish the port on which nginx does have 'listen … ssl'",
    ),
}

NGINX = {
    "nginx-config-invalid": Cause(
        "nginx",
        "changes have no effect; the next start fails",
        "nginx refuses the configuration that it would be restarted with: {error}",
        "correct the line named in the message, then docker compose up --build --wait",
    ),
    "upstream-name-unknown": Cause(
        "nginx",
        "connection refused; nginx restarts again and again",
        "nginx cannot start, because nobody in its network has the name in uwsgi_pass: {error}",
        "name the service that runs uWSGI (here: {app}), in the same network, and let nginx start"
        " after it (depends_on); a Unix socket needs no name",
    ),
    "mount-is-a-directory": Cause(
        "nginx",
        "nginx does not start, or has its default site",
        "{path} should be a file, but is a directory: what it is mounted from, {source}, was not there"
        " when the container was made, and Docker made an empty directory of that name.",
        "remove that directory, put the file there, then docker compose up --force-recreate",
    ),
    "mount-is-stale": Cause(
        "nginx",
        "changes have no effect, even after a reload",
        "{path} in the container is an older file than {source}: a mounted file stays the one that it"
        " was, and an editor or git makes a new one.",
        "docker compose up --force-recreate {service}; or mount the directory instead of the file",
    ),
    "other-server-answers": Cause(
        "nginx",
        '"Welcome to nginx!", another site, or 404',
        "For {host}, nginx answers with another server block than the one of the site: {other}.",
        "give the site's block this server_name, or 'listen … default_server'; remove the default"
        " site; a file counts only where an include names it (*.conf)",
    ),
    "nginx-redirect-loop": Cause(
        "nginx",
        "too many redirects",
        "nginx itself redirects {url} to {location}, and nothing here speaks TLS.",
        "remove that return; whoever does TLS in front should redirect",
    ),
    "nginx-does-not-answer": Cause(
        "nginx",
        "the browser waits for ever",
        "nginx accepts connections, but does not answer within {seconds} s.",
        "docker compose restart {nginx}; if it comes back, see docker compose logs {nginx}",
    ),
    "nginx-temp-unwritable": Cause(
        "nginx",
        "small requests work; uploads get 500",
        "nginx's workers ({identity}) may not write to {path}, where large bodies wait.",
        "give it to them; if it is a volume, remove that so that it is made anew with the right owner:"
        " docker compose down; docker volume rm {volume}; docker compose up --wait",
    ),
    "uwsgi-params-missing": Cause(
        "nginx",
        "502 on every page",
        "Where nginx passes requests on ({place}) it says nothing about them: {missing} is not set.",
        "include uwsgi_params in the same block as uwsgi_pass, and all other uwsgi_param lines with it:"
        " a block with one of its own inherits none",
    ),
    "host-port-lost": Cause(
        "nginx",
        "403, CSRF verification failed, when a form is sent",
        "nginx tells Django the host without the port ({param}), but visitors come to {host}.",
        "keep your own uwsgi_params, with: uwsgi_param HTTP_HOST $http_host;",
    ),
    "cookies-cached": Cause(
        "nginx",
        "users see each other's pages, or are logged in as somebody else",
        "nginx gives answers that it keeps ({cache}) to everybody, though they are for one visitor: it"
        " ignores {ignored}, which would say so.",
        "remove that {directive}; or keep nothing for who sends a cookie: {directive_no_cache} $http_cookie;"
        " {directive_bypass} $http_cookie;",
    ),
    "response-header-too-big": Cause(
        "nginx",
        "502 on some pages, though uWSGI answered 200",
        "The headers of an answer were larger than uwsgi_buffer_size.",
        "uwsgi_buffer_size 16k; uwsgi_buffers 8 16k; uwsgi_busy_buffers_size 32k;"
        " and ask what makes them so large",
    ),
    "body-too-large": Cause(
        "nginx",
        "413 when somebody uploads",
        "nginx refused an upload that was larger than client_max_body_size ({limit}).",
        "if such uploads are wanted, raise it in the server block, and in every proxy in front",
    ),
    "request-header-too-large": Cause(
        "nginx",
        "400 or 414 for some visitors",
        "nginx refused a request whose address or cookies were longer than it takes.",
        "find who sets such cookies; else large_client_header_buffers 4 16k, and buffer-size = 32768"
        " in uWSGI",
    ),
    "client-gave-up": Cause(
        "nginx",
        "the client's own timeout; 499 in nginx's log",
        "Clients hung up before the answer came, {count} times in 15 minutes.",
        "make the page faster; whatever waits in front must wait longer than nginx does",
    ),
}

STATIC = {
    "static-not-routed": Cause(
        "static",
        "pages without style; 404 from Django for /static/",
        "No location of nginx serves {url}, so Django is asked for it, which does not do that"
        " without DEBUG.",
        "add to the server block: location {prefix} {{ alias /path/to/STATIC_ROOT/; }}",
    ),
    "static-alias-glued": Cause(
        "static",
        "pages without style; 404 for every static file",
        "nginx looks for {path}: the alias {alias} has no slash at its end, the location has one.",
        "end both with a slash: location {prefix} {{ alias {alias}/; }}",
    ),
    "static-root-doubled": Cause(
        "static",
        "pages without style; 404 for every static file",
        "nginx looks for {path}: root adds the whole address to the directory.",
        "use alias with that directory, or root with the one above it",
    ),
    "static-missing": Cause(
        "static",
        "pages without style; 404 for /static/",
        "{path} is not there: the collected static files of this release are not where nginx looks.",
        "{collect}; if they are collected, mount the same volume in {app} and {nginx}",
    ),
    "static-permission-denied": Cause(
        "static",
        "pages without style; 403 for /static/",
        "nginx's workers ({identity}) may not read {path}: {blame}.",
        "chmod --recursive u=rwX,go=rX on the directory with the static files, and +x on those above it",
    ),
    "static-stale": Cause(
        "static",
        "new pages with old style sheets",
        "nginx serves other bytes for {url} than this release has.",
        "{recollect}",
    ),
    "static-manifest-entry-missing": Cause(
        "static",
        "500 on pages with {% static %}, only without DEBUG",
        "{error} ({place}): the manifest that the app has does not know the file.",
        "{collect}, with the app's own STATIC_ROOT; or correct the name in the template",
    ),
    "static-wrong-type": Cause(
        "static",
        "the browser refuses style sheets or scripts",
        "nginx serves {url} as {type}.",
        "include mime.types in nginx.conf",
    ),
}

MEDIA = {
    "media-permission-denied": Cause(
        "media",
        "403 for some or all uploads",
        "nginx's workers ({identity}) may not read {path}: {blame}.",
        "set FILE_UPLOAD_PERMISSIONS = 0o640 (0o644 without a common group) in settings.py;"
        " for those that are there: chmod",
    ),
    "media-not-routed": Cause(
        "media",
        "404 from Django for uploads",
        "No location of nginx serves {prefix}, so Django is asked for it, which does not do that"
        " without DEBUG.",
        "add to the server block: location {prefix} {{ alias /path/to/MEDIA_ROOT/; }}",
    ),
    "media-missing": Cause(
        "media",
        "404 for uploads",
        "Django stored {name}, but nginx finds nothing at {path}: they do not see the same volume.",
        "mount the volume with the uploads in both services, at the path that nginx's location names",
    ),
    "media-not-writable": Cause(
        "media",
        "500 when somebody uploads",
        "The site may not write to {path} (mode {mode}, owner {owner}), where uploads go.",
        "docker compose exec {app} chmod 2750 {path}; when the owner is not {user}, give it back to it",
    ),
    "media-not-on-volume": Cause(
        "media",
        "uploads are gone after the next deploy",
        "Uploads go to {path}, which is no volume: they end with the container.",
        "mount a named volume at exactly that path in {app}, and in {nginx}",
    ),
}

SOCKET = {
    "socket-missing": Cause(
        "socket",
        "502 or 503 at once; nginx logs (2: No such file or directory)",
        "There is nothing at {path}.",
        "start the app, docker compose up --wait; if it runs, compare socket in the ini with uwsgi_pass",
    ),
    "socket-volumes-differ": Cause(
        "socket",
        "502 at once; nginx logs (2: No such file or directory), though the socket is there",
        "The socket is in {app}, at {own}, but nginx, which looks for {path}, sees another directory.",
        "mount the same volume in {app} and {nginx}: the directory of the socket, not the socket itself",
    ),
    "socket-stale": Cause(
        "socket",
        "502 or 503 at once; nginx logs (111: Connection refused)",
        "A socket is at {path}, but nobody listens: the uWSGI that made it is gone.",
        "docker compose up --wait; if uWSGI runs, docker compose restart {app}",
    ),
    "socket-is-a-file": Cause(
        "socket",
        "502 or 503 at once; nginx logs (111: Connection refused) or (13: Permission denied)",
        "{path} is not a socket but a {kind}.",
        "remove it, then docker compose restart {app}",
    ),
    "socket-mode": Cause(
        "socket",
        "502 or 503 at once; nginx logs (13: Permission denied)",
        "nginx ({identity}) may not connect to {path}: its mode is {mode}, its owner {owner},"
        " and connecting needs the right to write.",
        "set chmod-socket = 660 in {ini}, and give both containers the same group; then docker compose"
        " restart {app}, since a reload keeps the socket that is there",
    ),
    "socket-group": Cause(
        "socket",
        "502 or 503 at once; nginx logs (13: Permission denied)",
        "nginx ({identity}) may not connect to {path}: its mode, {mode}, is good, but nginx is not in its"
        " group, {gid}.",
        'give nginx that group (group_add: ["{gid}"] under {nginx} in the Compose file), or the socket one'
        " that nginx has (chown-socket in {ini}); then docker compose up --wait",
    ),
    "socket-directory-private": Cause(
        "socket",
        "502 or 503 at once; nginx logs (13: Permission denied)",
        "nginx ({identity}) may not enter {path}: its mode is {mode}, its owner {owner}.",
        "give the directory mode 2750 and a group that both containers have (for a tmpfs volume, in"
        " its driver_opts)",
    ),
    "socket-denied-by-policy": Cause(
        "socket",
        "502 at once; nginx logs (13: Permission denied), though all modes are right",
        "Modes and owners let nginx ({identity}) connect to {path}, but the machine refuses:"
        " an access control list, or a security policy such as SELinux.",
        "getfacl {path} shows a list, ausearch -m avc a policy; use a named volume, or :z behind a"
        " mounted directory",
    ),
    "socket-queue-full": Cause(
        "socket",
        "502 or 503 at once under load; nginx logs (11: Resource temporarily unavailable)",
        "The queue of {path} is full: nobody takes the connections that wait there.",
        "find what keeps the workers busy (the hop uwsgi); then raise the number of workers",
    ),
    "upstream-refused": Cause(
        "socket",
        "502 at once; nginx logs (111: Connection refused)",
        "Nobody listens on {address} in {app}.",
        "compare uwsgi_pass ({directive}) with socket of uWSGI; its log says what it was bound to",
    ),
    "upstream-bound-to-localhost": Cause(
        "socket",
        "502 at once; nginx logs (111: Connection refused)",
        "uWSGI listens on port {port}, but on 127.0.0.1 of its own container, where nginx cannot come.",
        "socket = :{port} instead of 127.0.0.1:{port}",
    ),
    "upstream-address-stale": Cause(
        "socket",
        "502 or 504 after a deploy; cured by restarting nginx",
        "nginx still asks {old}, but {app} is at {now} since its container was made anew.",
        "docker compose exec {nginx} nginx -s reload, after every deploy; a Unix socket, or resolver"
        " 127.0.0.11 with a variable in uwsgi_pass, needs no reload",
    ),
    "upstream-name-lost": Cause(
        "socket",
        "502 on every page; nginx logs: could not be resolved, or no resolver defined",
        "nginx looks {host} up at every request, and does not find it: {error}",
        "resolver 127.0.0.11 valid=10s; and the name of a service of the same network (here: {app})",
    ),
    "upstream-queue-full": Cause(
        "socket",
        "pages take 1, 3, 7 seconds, then 504 while connecting",
        "The listen queue of {address} is full: nobody takes the connections that wait there.",
        "find what keeps the workers busy (the hop uwsgi); then raise the number of workers",
    ),
}

UWSGI = {
    "app-not-running": Cause(
        "uwsgi",
        "502 or 503 at once",
        "The container of the app is not running ({state}).",
        "docker compose up --wait; its log says why it ended: docker compose logs {app}",
    ),
    "app-paused": Cause(
        "uwsgi",
        "504 after the time limit",
        "The container of the app is paused.",
        "docker compose unpause {app}",
    ),
    "entrypoint-not-executable": Cause(
        "uwsgi",
        "502; the app container ends at once",
        "The container's first program cannot be run: {error}",
        "chmod +x in the image; line ends of Unix (.gitattributes: *.sh text eol=lf); an interpreter"
        " that the image has",
    ),
    "shared-library-missing": Cause(
        "uwsgi",
        "502; the app container restarts again and again (127)",
        "uWSGI was built on another base than it runs on: {error}",
        "build it in the image it runs in, and make 'uwsgi --version' the last step of the build",
    ),
    "virtualenv-wrong": Cause(
        "uwsgi",
        "502; the app container restarts again and again",
        "The virtualenv that uWSGI is given is none for it: {error}",
        "correct virtualenv (home) in {ini}; it must be made by the Python that uWSGI was built with",
    ),
    "uwsgi-option-refused": Cause(
        "uwsgi",
        "502; the app container restarts again and again",
        "uWSGI does not know an option: {error}",
        "correct its name; a comment in an ini file needs a line of its own",
    ),
    "uwsgi-option-misspelt": Cause(
        "uwsgi",
        "an option has no effect",
        "uWSGI has no option {name}, and ignores it: {guess}.",
        "correct it in the ini file, and add strict = true, which makes such a line an error",
    ),
    "uwsgi-cannot-bind": Cause(
        "uwsgi",
        "502; the app container restarts again and again",
        "uWSGI cannot make its socket: {error}",
        "the directory must be there and belong to the user of uWSGI ({place}); for TCP, no other"
        " program may have the port",
    ),
    "listen-above-somaxconn": Cause(
        "uwsgi",
        "502; the app container restarts again and again",
        "uWSGI's listen is larger than the container's net.core.somaxconn: {error}",
        "sysctls: net.core.somaxconn in the Compose file, or a smaller listen",
    ),
    "vassal-failed": Cause(
        "uwsgi",
        "503 on one site; the others work",
        "The vassal {vassal} ends whenever the Emperor starts it ({times} times by now): {error}",
        "{advice}. After a change in {ini}: {publish}",
    ),
    "vassal-refused": Cause(
        "uwsgi",
        "503 on one site; the others work",
        "The Emperor does not start the vassal {vassal}: in tyrant mode its ini file may not belong to"
        " root, nor to root's group ({owner}).",
        "make the user and group that shall run the site its owner; here: uid and gid in {ini}, then"
        " {publish}",
    ),
    "vassal-missing": Cause(
        "uwsgi",
        "503 on one site; the others work",
        "No vassal of the Emperor in {app} has {address}, to which nginx sends the requests for {host}.",
        "put the site's ini file back, or take its server block out of nginx's configuration",
    ),
    "app-not-loaded": Cause(
        "uwsgi",
        "502 or 503; the app container restarts again and again",
        "uWSGI cannot load the site and ends: {error}",
        "correct that, then docker compose up --build --wait",
    ),
    "collectstatic-failed": Cause(
        "uwsgi",
        "502; the app container ends before uWSGI starts",
        "collectstatic, which runs before uWSGI, fails: {error}",
        "make the directory STATIC_ROOT in the image and give it to the user of the container before a"
        " volume is mounted there",
    ),
    "app-out-of-memory": Cause(
        "uwsgi",
        "502 or 503 now and then; the app container restarts",
        "The app was killed because it used more memory than the container may have.",
        "lower the number of workers, or raise mem_limit of {app} in the Compose file; when it happens at"
        " the start, and uWSGI finds a million file descriptors: max-fd = 4096 in {ini}",
    ),
    "init-failed": Cause(
        "uwsgi",
        "connection refused or 503 after docker compose up",
        "The app was not started, because {init} failed: {error}",
        "do what that sentence says, then docker compose up --wait",
    ),
    "workers-do-not-answer": Cause(
        "uwsgi",
        "504 after the time limit",
        "A request sent straight to the socket got no answer within {seconds} s: all workers are busy"
        " or stuck.",
        "see what they do: docker compose top {app}; docker compose restart {app} ends it",
    ),
    "uwsgi-sent-to-http": Cause(
        "uwsgi",
        "502 after 4 s, or 504, on every page",
        "nginx speaks the uwsgi protocol ({directive}), but {address} speaks HTTP.",
        "socket = instead of http-socket = (or http =) in uWSGI; or proxy_pass http://… in nginx",
    ),
    "http-sent-to-uwsgi": Cause(
        "uwsgi",
        "502 on every page; uWSGI logs: invalid request block size",
        "nginx speaks HTTP ({directive}), but {address} speaks the uwsgi protocol.",
        "uwsgi_pass and include uwsgi_params instead of proxy_pass; a larger buffer-size does not help",
    ),
    "fastcgi-sent-to-uwsgi": Cause(
        "uwsgi",
        "502 on every page; uWSGI logs: unavailable modifier requested",
        "nginx speaks {protocol} ({directive}), but {address} speaks the uwsgi protocol.",
        "uwsgi_pass and include uwsgi_params",
    ),
    "python-plugin-missing": Cause(
        "uwsgi",
        "502 on every page, though uWSGI runs",
        "This uWSGI has no Python in it: the distribution's needs a plugin for that.",
        "install uwsgi-plugin-python3 and set plugin = python3 in {ini}",
    ),
    "no-python-application": Cause(
        "uwsgi",
        '500, "Internal Server Error" in 21 bytes',
        "uWSGI runs without the site, which it could not load: {error}",
        "correct that, and set need-app = true in {ini}, so that it fails at the start",
    ),
    "request-block-too-big": Cause(
        "uwsgi",
        "502 for some visitors or addresses",
        "A request's headers were larger than uWSGI's buffer-size: {error}",
        "buffer-size = 32768 in {ini}: as much as nginx lets through (large_client_header_buffers)",
    ),
    "uwsgi-post-limit": Cause(
        "uwsgi",
        "502 when somebody uploads",
        "An upload was larger than uWSGI's limit-post, though nginx let it through: {error}",
        "remove limit-post: client_max_body_size in nginx does the same, with a proper 413",
    ),
    "worker-out-of-memory": Cause(
        "uwsgi",
        "502 now and then, on heavy requests",
        "The kernel killed a worker, because the container used more memory than it may have.",
        "reload-on-rss below the limit, fewer workers, or a larger mem_limit of {app}",
    ),
    "worker-killed": Cause(
        "uwsgi",
        "502 now and then",
        "A worker was killed (signal 9), not by uWSGI and not for memory: somebody did that.",
        "find who: a script, a debugger, docker compose exec {app} kill",
    ),
    "worker-crashed": Cause(
        "uwsgi",
        "502 on certain requests",
        "A worker crashed in native code: {error}",
        "the backtrace in docker compose logs {app} names the library: rebuild it against the image's"
        " own libraries",
    ),
    "harakiri": Cause(
        "uwsgi",
        "502 after a constant time",
        "uWSGI ended a worker whose request took longer than harakiri: {error}",
        "make that page faster; harakiri must be longer than nginx's uwsgi_read_timeout to give a 504",
    ),
    "page-too-slow": Cause(
        "uwsgi",
        "504 on some pages",
        "A page took longer than uwsgi_read_timeout: {error}",
        "make it faster, or move its work to a background job; only then raise the limit",
    ),
    "overloaded": Cause(
        "uwsgi",
        "503 while everything runs, and only when many visitors come",
        "The workers were so busy that {count} requests in 15 minutes were refused with 503.",
        "make the slowest pages faster or let them be cached (Cache-Control: public), then give it more"
        " workers and processors",
    ),
    "healthcheck-wrong": Cause(
        "uwsgi",
        "the container is unhealthy, though the site works",
        "{service} answers, but its health check fails: {error}",
        "correct healthcheck: a program that the image has, 127.0.0.1 instead of localhost, a Host that"
        " Django allows; a uwsgi socket answers no HTTP",
    ),
    "locale-ascii": Cause(
        "uwsgi",
        "500 for file names that are not English",
        "Python inside uWSGI takes file names for ASCII: no LANG is set, and python3 alone does not"
        " show it.",
        "LANG: C.UTF-8 under environment: of {app}",
    ),
    "image-newer-than-container": Cause(
        "uwsgi",
        "the old site after a build",
        "The container of {app} was made from an older image than the one that is there now.",
        "docker compose up --wait",
    ),
    "stop-not-delivered": Cause(
        "uwsgi",
        "docker compose stop takes 10 s and cuts requests off (137)",
        "The container's first process is {name}, which does not hand SIGTERM on to uWSGI.",
        "exec uwsgi … in the script, or the list form of CMD",
    ),
    "stop-reloads": Cause(
        "uwsgi",
        "docker compose stop takes 10 s and cuts requests off (137)",
        "SIGTERM makes this uWSGI reload instead of stop.",
        "hook-master-start = unix_signal:15 gracefully_kill_them_all in {ini}",
    ),
    "stop-cuts-requests-off": Cause(
        "uwsgi",
        "a few 502 at every deploy",
        "SIGTERM ends the workers at once (die-on-term), whatever they are answering.",
        "hook-master-start = unix_signal:15 gracefully_kill_them_all instead of die-on-term",
    ),
}

DJANGO = {
    "settings-broken": Cause(
        "django",
        "502, 503 or 500 on every page",
        "The site cannot be loaded: {error} ({place}).",
        "correct that line, then docker compose up --build --wait",
    ),
    "secret-key-empty": Cause(
        "django",
        "500 on every page, and nothing in the log",
        "SECRET_KEY is empty: uWSGI loads the site, and every request fails.",
        "give it a value (a variable of .env that does not reach the container?), and let the settings"
        " raise an error without one",
    ),
    "urlconf-broken": Cause(
        "django",
        "502 (not 500) on every page, though uWSGI started",
        "The URLconf cannot be imported: {error} ({place}).",
        "correct that line, then docker compose up --build --wait; manage.py check finds it before",
    ),
    "page-raises": Cause(
        "django",
        "500 on the page",
        "The front page raises {error} ({place}).",
        "correct that line, then docker compose up --build --wait",
    ),
    "page-hangs": Cause(
        "django",
        "504 after the time limit",
        "The site needs more than {seconds} s for its front page, also when it is asked alone.",
        "find what it waits for: a query without an end, a lock, a service that does not answer",
    ),
    "page-fails": Cause(
        "django",
        "500 on the page",
        "The front page is answered with {through} through nginx, with {alone} by the site alone.",
        "where the two differ, nginx answers by itself or tells the site something else: compare"
        " uwsgi_params; else the site's log has the reason: docker compose logs {app}",
    ),
    "host-lost": Cause(
        "django",
        "400 on every page, static files work",
        "Django refuses the host that nginx tells it for {host}, which it would accept itself.",
        "set HTTP_HOST in uwsgi_params to the host and port of the request",
    ),
    "proxy-host-lost": Cause(
        "django",
        "400 on every page, static files work",
        "nginx tells Django the host {told}, because proxy_pass sends its own address unless told not to.",
        "proxy_set_header Host $http_host; or uwsgi_pass, which passes the visitor's on",
    ),
    "host-refused": Cause(
        "django",
        "400 on every page, static files work",
        "Django refuses the host {host}, under which nginx serves the site: ALLOWED_HOSTS is {allowed}.",
        "add the host that visitors type",
    ),
    "https-redirect-loop": Cause(
        "django",
        "too many redirects",
        "Django redirects {url} to {location}: SECURE_SSL_REDIRECT is on, and it never learns that a"
        " visitor came by https.",
        "whoever does TLS sends X-Forwarded-Proto, nginx passes it on, and SECURE_PROXY_SSL_HEADER names"
        " it; without TLS, switch SECURE_SSL_REDIRECT off",
    ),
    "secure-cookie-over-http": Cause(
        "django",
        "403, CSRF cookie not set; logging in leads back to the form",
        "Django marks its cookies Secure, but visitors come by http, and browsers do not send them.",
        "serve the site by https, or switch CSRF_COOKIE_SECURE and SESSION_COOKIE_SECURE off",
    ),
    "csrf-origin-refused": Cause(
        "django",
        "403, CSRF verification failed, when a form is sent",
        "A form sent from {origin} is refused: Django takes itself for another address.",
        "let nginx pass scheme, host and port on as the visitor sent them; else"
        " CSRF_TRUSTED_ORIGINS = ['{origin}']",
    ),
    "debug-on": Cause(
        "django",
        "error pages show source code",
        "DEBUG is on: an error shows source code and settings to whoever causes it.",
        "DEBUG = False, then docker compose up --wait",
    ),
    "errors-not-logged": Cause(
        "django",
        "500, and nothing in any log",
        "When a view fails nobody learns why: without DEBUG, Django logs errors only by mail.",
        "a StreamHandler for the root logger in LOGGING",
    ),
    "host-spoofable": Cause(
        "django",
        "links in mails lead to a stranger's site",
        "USE_X_FORWARDED_HOST is on, and nginx passes the visitor's own X-Forwarded-Host on.",
        "switch it off, or let nginx set the header: uwsgi_param HTTP_X_FORWARDED_HOST $http_host;",
    ),
}

DATABASE = {
    "migrations-missing": Cause(
        "database",
        "500 on pages that use the newest tables",
        "The database lacks {count} migrations, {first} the first.",
        "{migrate}",
    ),
    "tables-missing": Cause(
        "database",
        "500 on pages that use them",
        "The database has no table {first}, though its migrations count as applied.",
        "restore the database from a backup",
    ),
    "database-missing": Cause(
        "database",
        "500 on every page",
        "There is no database at {path}.",
        "restore it, or make a new one: {migrate}",
    ),
    "database-not-writable": Cause(
        "database",
        "pages work, logging in gets 500",
        "The site may not write to {path} (mode {mode}, owner {owner}): SQLite needs to write the file"
        " and its directory.",
        "give both to the user of the app container: chown -R {user}",
    ),
    "database-not-on-volume": Cause(
        "database",
        "all data is gone after the next deploy",
        "The database is at {path}, which is no volume: it ends with the container.",
        "mount a named volume at the directory of the database in {app}",
    ),
    "disk-full": Cause(
        "database",
        "500 whenever something is saved",
        "There is no room left where {path} is.",
        "docker system df; rotate the containers' logs (logging: max-size), and make room",
    ),
    "query-fails": Cause(
        "database",
        "500 on pages that use the table",
        "The front page asks the database for something that it has not: {error} ({place}).",
        "make the migration that is missing, or restore the database from a backup",
    ),
    "database-locked": Cause(
        "database",
        "500 or a long wait when something is saved",
        "Another process holds the database's write lock for more than 2 s.",
        "find it: docker compose top {app}; a shell or a command left open holds it until it ends",
    ),
    "database-damaged": Cause(
        "database",
        "500 on every page",
        "SQLite cannot use {path}: {error}.",
        "restore the file from a backup",
    ),
    "database-refused": Cause(
        "database",
        "500 on every page, or the app ends at its start",
        "Nobody listens at {where}: {error}",
        "start the database, and let {app} wait for it: depends_on with condition: service_healthy",
    ),
    "database-host-unknown": Cause(
        "database",
        "500 on every page, or the app ends at its start",
        "There is no host {host} in the network of {app}: {error}",
        "HOST in DATABASES is the name of the service (localhost is {app} itself); both in one network",
    ),
    "database-password-refused": Cause(
        "database",
        "500 on every page, or the app ends at its start",
        "The database refuses the user or the password: {error}",
        "the volume keeps the password of its first start: change it in the database, ALTER ROLE",
    ),
    "database-too-many-clients": Cause(
        "database",
        "500 under load",
        "The database takes no more connections: {error}",
        "fewer workers, a smaller CONN_MAX_AGE, a pool; only then max_connections",
    ),
}

CHAIN = {
    "request-id-lost": Cause(
        "chain",
        "a request cannot be followed through the logs",
        "The id {request_id} of an answer is not in the log of {service}.",
        "set X-Request-ID in uwsgi_params, and keep the request_id filter in LOGGING",
    ),
    "service-not-up": Cause(
        "chain",
        "pages work; what the service does is not done",
        "The service {service} is not up ({state}).",
        "its log says why: docker compose logs {service}; then docker compose up --wait",
    ),
}

# Failures of this chain that it does not name, and what it says instead.
NOT_NAMED = (
    "Which rule of SELinux or AppArmor denies a socket: `socket-denied-by-policy` says that one does.",
    "systemd's part in a stack without Compose: `PrivateTmp`, a `/run` that is empty after a restart.",
    "That uWSGI's tables for a million file descriptors ate the memory: `app-out-of-memory` shows the line.",
    "Failures by chance: a connection that is reset because a view did not read its body, an answer cut off"
    " after its headers, a database connection that two workers share since a fork.",
    "What needs an outer proxy to see: visitors who all have the proxy's address. (`--url` tells whether a"
    " visitor can lie about scheme and host.)",
    "A site under a path (`SCRIPT_NAME`), logs in different time zones, a `SECRET_KEY` that changes with"
    " every start.",
)

# In the order of the chain.
CAUSES = {
    **PORT, **TLS, **NGINX, **STATIC, **MEDIA, **SOCKET, **UWSGI, **DJANGO, **DATABASE, **CHAIN
}  # fmt: skip


def finding(
    table: Mapping[str, Cause],
    verdict: Verdict,
    cause: str,
    evidence: Iterable[object],
    words: Mapping[str, object],
) -> Finding:
    """
    Return what a cause of a table says, with the words for its braces.

    Raise ``KeyError`` for a cause that is not there, or a word that is missing: mistakes of ours.
    """
    entry = table[cause]
    wrong, fix = entry.wrong.format(**words), entry.fix.format(**words)
    return Finding(entry.hop, verdict, wrong, cause, tuple(map(str, evidence)), fix)


def broken(cause: str, *evidence: str, **words: object) -> Finding:
    """Return that a hop is broken by a cause of ``CAUSES``; see ``finding``."""
    return finding(CAUSES, Verdict.BROKEN, cause, evidence, words)


def advice(cause: str, *evidence: str, **words: object) -> Finding:
    """
    Return that a hop works, but that a cause of ``CAUSES`` will hurt, or hurts some.

    For what a stranger can bring about by what he sends, and for what only hurts later.
    """
    return finding(CAUSES, Verdict.OK, cause, evidence, words)
