"""The doctor: each fault is made for real in a running stack, named, mended, and gone."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from whichhop.causes import CAUSES, table
from whichhop.finding import Verdict

from tests.conftest import ROOT, discard, started
from tests.support import configurations
from tests.support.doctor import assert_healthy, first_broken, wait_for, wait_until_healthy, walk
from tests.support.people import create_user, log_in, png, upload
from tests.support.stack import Stack
from tests.support.workers import WORKERS

# The socket of the app, a style sheet that every Django has, and a picture.
SOCKET = "/run/uwsgi/mysite.sock"
CSS = "/srv/static/admin/css/base.*.css"
PICTURE = "/srv/media/public/images/picture.png"


class Fault(NamedTuple):
    """How to break a stack, and how to mend it: a shell command in the container of a service."""

    service: str
    break_it: str
    mend_it: str


def sql(statement: str) -> str:
    """Return a command that runs a statement on the database, past Django."""
    return f'python3 -c "import sqlite3; c = sqlite3.connect(\'/srv/data/db.sqlite3\'); c.execute(\\"{statement}\\"); c.commit()"'


def deny(path: str, uid: int) -> str:
    """Return a command that shuts one user out by an access control list; the mode looks the same."""
    # Tags of owner, user, group, mask and others, each with its rights and id: acl(5), as the kernel has it.
    entries = f"[(1, 6, -1), (2, 0, {uid}), (4, 6, -1), (16, 6, -1), (32, 0, -1)]"
    code = (
        "import os, struct; acl = struct.pack('<I', 2)"
        f" + b''.join(struct.pack('<HHi', *entry) for entry in {entries});"
        f" os.setxattr('{path}', 'system.posix_acl_access', acl)"
    )
    return f'python3 -c "{code}"'


# Another configuration of nginx, with one line more, in the place of the one that was published.
CONFIGURE = "cp -r current/. other; readlink current >before; echo '{}' >>other/settings.conf; ln -sfT other current"
CONFIGURE_BACK = "ln -sfT $(<before) current; rm -r before other"

# By cause. A fault in "init" or "nginx-config" is made with `docker compose run`: no service may write there.
FAULTS = {
    "nginx-config-invalid": Fault("nginx-config", CONFIGURE.format("uwsgi_pas x;"), CONFIGURE_BACK),
    "nginx-does-not-answer": Fault("nginx", f"kill -STOP {WORKERS}", f"kill -CONT {WORKERS}"),
    "nginx-temp-unwritable": Fault(
        "nginx", "chmod 500 /var/cache/nginx/client", "chmod 700 /var/cache/nginx/client"
    ),
    "static-missing": Fault("init", f"rm {CSS}", "stack init"),
    "static-permission-denied": Fault(
        "init", "chmod 700 /srv/static/admin", "chmod 2750 /srv/static/admin"
    ),
    "static-stale": Fault("init", f"echo '/* older */' | gzip >{CSS}.gz", "stack init"),
    "static-wrong-type": Fault(
        "nginx-config", CONFIGURE.format("types { text/plain css; }"), CONFIGURE_BACK
    ),
    "media-permission-denied": Fault("app", f"chmod 600 {PICTURE}", f"chmod 640 {PICTURE}"),
    "media-not-writable": Fault(
        "app", "chmod 0550 /srv/media/public", "chmod 2750 /srv/media/public"
    ),
    "socket-missing": Fault("app", f"mv {SOCKET} {SOCKET}.away", f"mv {SOCKET}.away {SOCKET}"),
    "socket-stale": Fault(
        "app",
        f"mv {SOCKET} {SOCKET}.away;"
        f"python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"{SOCKET}\")';"
        f"chmod 660 {SOCKET}",
        f"mv {SOCKET}.away {SOCKET}",
    ),
    "socket-is-a-file": Fault(
        "app", f"mv {SOCKET} {SOCKET}.away; touch {SOCKET}", f"mv {SOCKET}.away {SOCKET}"
    ),
    "socket-mode": Fault("app", f"chmod 600 {SOCKET}", f"chmod 660 {SOCKET}"),
    "socket-directory-private": Fault("app", "chmod 2700 /run/uwsgi", "chmod 2750 /run/uwsgi"),
    "socket-denied-by-policy": Fault(
        "app",
        deny(SOCKET, 10002),
        f"python3 -c \"import os; os.removexattr('{SOCKET}', 'system.posix_acl_access')\"",
    ),
    "workers-do-not-answer": Fault("app", f"kill -STOP {WORKERS}", f"kill -CONT {WORKERS}"),
    "settings-broken": Fault(
        "app", "mv /srv/data/secret_key /srv/data/away", "mv /srv/data/away /srv/data/secret_key"
    ),
    "page-raises": Fault(
        "app",
        sql("UPDATE welcome_upload SET image = ''"),
        sql("UPDATE welcome_upload SET image = 'images/picture.png'"),
    ),
    "migrations-missing": Fault(
        "app",
        sql("UPDATE django_migrations SET app = '-welcome' WHERE app = 'welcome'"),
        sql("UPDATE django_migrations SET app = 'welcome' WHERE app = '-welcome'"),
    ),
    "tables-missing": Fault(
        "app",
        sql("ALTER TABLE welcome_upload RENAME TO away"),
        sql("ALTER TABLE away RENAME TO welcome_upload"),
    ),
    "database-missing": Fault(
        "app",
        # Read-only too: the next health check would make an empty one.
        "cd /srv/data; mkdir saved; mv db.sqlite3* saved; chmod 500 .",
        "cd /srv/data; chmod 700 .; mv saved/* .; rmdir saved",
    ),
    "database-not-writable": Fault(
        "app", "chmod 440 /srv/data/db.sqlite3", "chmod 640 /srv/data/db.sqlite3"
    ),
    "query-fails": Fault(
        "app",
        sql("ALTER TABLE welcome_upload RENAME COLUMN title TO away"),
        sql("ALTER TABLE welcome_upload RENAME COLUMN away TO title"),
    ),
    "database-damaged": Fault(
        "app",
        "cd /srv/data; mkdir saved; mv db.sqlite3* saved; seq 9999 >db.sqlite3",
        "cd /srv/data; rm db.sqlite3*; mv saved/* .; rmdir saved",
    ),
}


def act(stack: Stack, service: str, command: str) -> None:
    if service == "init":
        stack.compose("run", "--rm", "--no-deps", "init", "bash", "-c", command)
    elif service == "nginx-config":
        configurations.change(stack, command)
        configurations.wait_for_verdict(stack)
    else:
        stack.run(service, "bash", "-c", command)


@pytest.fixture(scope="module")
def patient(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """A stack to break and to mend, with one upload; its log is not watched."""
    with started(make_stack(), pytestconfig) as stack:
        create_user(stack, "admin")
        upload(stack, log_in(stack, "admin"), "picture", ("picture.png", png(), "image/png"))
        yield stack


def test_a_healthy_stack_is_healthy(patient: Stack) -> None:
    assert_healthy(patient)


@pytest.mark.parametrize("cause", FAULTS)
def test_a_fault_is_named_and_gone_when_mended(
    patient: Stack, cause: str, record_property: Callable[[str, object], None]
) -> None:
    service, break_it, mend_it = FAULTS[cause]
    act(patient, service, break_it)
    try:
        started = time.monotonic()
        found = first_broken(walk(patient))
        seconds = time.monotonic() - started
        assert seconds < 20
        assert (found.hop, found.cause) == (CAUSES[cause].hop, cause), found
        assert found.fix
        record_property("hop", found.hop)
        record_property("cause", found.cause)
        record_property("seconds", round(seconds, 1))
    finally:
        act(patient, service, mend_it)
    wait_until_healthy(patient)


@pytest.mark.parametrize(
    ("cause", "service", "break_it", "mend_it"),
    [
        # The same cause at another place.
        (
            "static-stale",
            "init",
            f"cp /srv/static/admin/css/forms.*.css.br $(echo {CSS}).br",
            "stack init",
        ),
        ("media-not-writable", "app", "chmod 500 /srv/media/tmp", "chmod 2750 /srv/media/tmp"),
        (
            "media-not-writable",
            "app",
            "chmod 500 /srv/media/private",
            "chmod 2750 /srv/media/private",
        ),
        (
            "database-not-writable",
            "app",
            "touch /srv/data/db.sqlite3-wal; chmod 400 /srv/data/db.sqlite3-*",
            "chmod 640 /srv/data/db.sqlite3-*",
        ),
    ],
)
def test_the_same_elsewhere(
    patient: Stack, cause: str, service: str, break_it: str, mend_it: str
) -> None:
    act(patient, service, break_it)
    try:
        assert first_broken(walk(patient)).cause == cause
    finally:
        act(patient, service, mend_it)
    wait_until_healthy(patient)


def test_a_name_that_no_text_can_hold(patient: Stack) -> None:
    act(patient, "app", "cd /srv/media/public/images; touch $'\\xff.png'")
    try:
        assert_healthy(patient)
    finally:
        act(patient, "app", "rm /srv/media/public/images/$'\\xff.png'")


def test_a_page_that_never_ends(patient: Stack) -> None:
    """It is named in time, hides no other hop, and leaves nothing running behind."""
    act(patient, "app", sql("ALTER TABLE welcome_upload RENAME TO away"))
    endless = (
        "CREATE VIEW welcome_upload AS WITH RECURSIVE n(i) AS"
        " (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS id, 1 AS title, 1 AS image,"
        " 1 AS attachment, 1 AS created, 1 AS owner_id FROM n"
    )
    act(patient, "app", sql(endless))
    try:
        started = time.monotonic()
        findings = walk(patient)
        assert time.monotonic() - started < 20
        assert first_broken(findings).cause == "page-hangs"
        verdicts = {finding.hop: finding.verdict for finding in findings}
        assert verdicts["static"] == verdicts["media"] == Verdict.OK
        processes = patient.run("app", "bash", "-c", "cat /proc/*/cmdline")
        assert "What can only be seen" not in processes
    finally:
        act(patient, "app", sql("DROP VIEW welcome_upload"))
        act(patient, "app", sql("ALTER TABLE away RENAME TO welcome_upload"))
        # Or the next test that stops the app waits for the one that still makes the page.
        act(patient, "app", f"kill -KILL {WORKERS}")
    wait_until_healthy(patient)


def test_the_write_lock_held_by_somebody_else(patient: Stack) -> None:
    take = "import sqlite3; c = sqlite3.connect('/srv/data/db.sqlite3', timeout=0); c.execute('BEGIN IMMEDIATE')"
    hold = f"{take}; import os, time\nwhile os.path.exists('/tmp/hold'): time.sleep(0.1)"
    act(patient, "app", "touch /tmp/hold")
    with ThreadPoolExecutor() as other:
        lock = other.submit(patient.run, "app", "python3", "-c", hold)
        try:
            patient.wait("locked", lambda: patient.exec("app", "python3", "-c", take).code, 5)
            assert first_broken(walk(patient)).cause == "database-locked"
        finally:
            act(patient, "app", "rm /tmp/hold")
        lock.result()
    wait_until_healthy(patient)


def test_a_full_queue(patient: Stack) -> None:
    connect = f"""
import os, socket, sys, time
held = []
try:
    while True:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].setblocking(False)
        held[-1].connect({SOCKET!r})
        if len(held) > int(sys.argv[1]):
            sys.exit(0)
except BlockingIOError:
    while os.path.exists(sys.argv[2]):
        time.sleep(0.1)
    sys.exit(1)
"""
    act(patient, "app", f"touch /tmp/hold; kill -STOP {WORKERS}")
    try:
        with ThreadPoolExecutor() as other:
            other.submit(patient.exec, "app", "python3", "-c", connect, "9999", "/tmp/hold")
            probe = ("app", "python3", "-c", connect, "0", "")
            try:
                patient.wait("the queue is full", lambda: patient.exec(*probe).code, 5)
                found = first_broken(walk(patient))
                assert found.cause == "socket-queue-full"
                assert re.search(
                    r"\b102[45] of 1024 waiting at the socket", "\n".join(found.evidence)
                )
            finally:
                act(patient, "app", "rm /tmp/hold")
    finally:
        act(patient, "app", f"kill -CONT {WORKERS}")
    wait_until_healthy(patient)


@pytest.mark.parametrize(
    ("command", "service", "cause"),
    [
        ("stop", "nginx", "nginx-not-running"),
        ("stop", "app", "app-not-running"),
        ("kill", "app", "app-not-running"),
        ("pause", "app", "app-paused"),
        ("pause", "nginx", "nginx-paused"),
    ],
)
def test_a_container_that_does_not_run(
    patient: Stack, command: str, service: str, cause: str
) -> None:
    patient.compose(command, service)
    assert first_broken(walk(patient)).cause == cause
    container = patient.container(service)
    container.unpause() if command == "pause" else container.start()
    wait_until_healthy(patient)


def test_an_app_that_cannot_be_loaded(patient: Stack) -> None:
    act(patient, "app", "mv /srv/data/secret_key /srv/data/away")
    patient.container("app").restart()
    assert "secret_key" in wait_for(patient, "app-not-loaded").summary
    act(
        patient, "init", "mv /srv/data/away /srv/data/secret_key"
    )  # Docker starts it again by itself
    wait_until_healthy(patient)


@pytest.mark.parametrize(
    ("variables", "cause"),
    [({"SITE_DEBUG": "true"}, "debug-on"), ({"SITE_URL": "http://example.com"}, "host-refused")],
)
def test_settings_that_do_not_fit(patient: Stack, variables: dict[str, str], cause: str) -> None:
    other = Stack(patient.directory, patient.project, {**patient.variables, **variables})
    up = ("up", "--detach", "--no-deps", "--no-build", "app")
    other.compose(*up)
    try:
        wait_for(patient, cause)
    finally:
        patient.compose(*up)
    wait_until_healthy(patient)


MOUNTS = "nginx-config:/srv/nginx:ro, socket:/run/uwsgi:ro, static:/srv/static:ro, nginx-temp:/var/cache/nginx"


@pytest.mark.parametrize(
    ("override", "cause"),
    [
        ("ports: !reset []", "port-not-published"),
        (f"volumes: !override [{MOUNTS}, static:/srv/media:ro]", "media-missing"),
        (
            "image: {project}-app\n    entrypoint: [python3, -m, http.server, '8080']",
            "port-answered-by-another",
        ),
    ],
    ids=["port-not-published", "media-missing", "port-answered-by-another"],
)
def test_a_compose_file_that_does_not_fit(
    patient: Stack, tmp_path: Path, override: str, cause: str
) -> None:
    extra = tmp_path / "extra.yaml"
    extra.write_text(f"services:\n  nginx:\n    {override.format(project=patient.project)}\n")
    up = ("up", "--detach", "--no-deps", "--no-build", "nginx")
    patient.compose("--file", "compose.yaml", "--file", str(extra), *up)
    try:
        wait_for(patient, cause, alive="app")
    finally:
        patient.container("nginx").kill()  # what is not nginx need not know how to stop
        patient.compose(*up)
    wait_until_healthy(patient)


@pytest.mark.parametrize(
    ("file", "old", "new", "cause"),
    [
        ("uwsgi_params", "$host$client_port;", "wrong.example;", "host-lost"),
        (
            "site.conf",
            "location = /favicon.ico",
            "location = / { return 500; } location = /x",
            "page-fails",
        ),
        ("site.conf", "location = /favicon.ico", "location ~ ^/(?<lang>de|en)/x", None),
    ],
)
def test_a_configuration_that_does_not_fit(
    patient: Stack, tmp_path: Path, file: str, old: str, new: str, cause: str | None
) -> None:
    extra = changed(tmp_path, file, old, new)
    up = ("up", "--detach", "--no-deps", "--no-build", "nginx-config")
    patient.compose("--file", "compose.yaml", "--file", extra, *up)
    try:
        if cause:
            wait_for(patient, cause, alive="app")
        else:
            wait_until_healthy(patient)
    finally:
        patient.compose(*up)
    wait_until_healthy(patient)


def changed(folder: Path, file: str, old: str, new: str) -> str:
    """Write a Compose file with which a file of nginx/ has another text; return its path."""
    text = (ROOT / "nginx" / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    (folder / file).chmod(0o644)
    for each in (folder, *folder.parents):
        if "pytest-" in str(each):  # and not what is above: /tmp is everybody's
            each.chmod(0o755)
    extra = folder / "extra.yaml"
    extra.write_text(
        f"services: {{nginx-config: {{volumes: ['{folder / file}:/etc/nginx/{file}:ro']}}}}\n"
    )
    return str(extra)


def test_a_start_with_a_configuration_that_nginx_refuses(patient: Stack, tmp_path: Path) -> None:
    extra = changed(tmp_path, "limits.conf", "client_header_timeout", "client_heater_timeout")
    up = ("up", "--detach", "--no-build")
    patient.compose("rm", "--stop", "--force", "nginx")
    patient.compose("--file", "compose.yaml", "--file", extra, *up, check=False)
    try:
        found = first_broken(walk(patient))
        assert (found.hop, found.cause) == ("nginx", "nginx-config-invalid")
        assert 'unknown directive "client_heater_timeout" in nginx/limits.conf:' in found.summary
    finally:
        patient.compose(*up)
    wait_until_healthy(patient)


def test_an_app_that_needs_more_memory_than_it_may_have(patient: Stack) -> None:
    patient.compose("stop", "app")
    container = patient.container("app")
    container.update(mem_limit="24m", memswap_limit="24m")
    try:
        container.start()
        wait_for(patient, "app-out-of-memory")
    finally:
        container.update(mem_limit="1g", memswap_limit="2g")
    wait_until_healthy(patient)


def test_a_request_that_left_no_trace(patient: Stack) -> None:
    act(patient, "nginx-config", CONFIGURE.format("access_log off;"))
    try:
        wait_for(patient, "request-id-lost")
    finally:
        act(patient, "nginx-config", CONFIGURE_BACK)
    wait_until_healthy(patient)


def test_a_worker_that_somebody_killed(patient: Stack) -> None:
    """Only the log knows, in the form that our own ini sets (log-date)."""
    act(patient, "app", f"set -- {WORKERS}; kill -KILL $1")
    assert "DAMN !" in wait_for(patient, "worker-killed", alive="app").evidence[0]
    assert_healthy(patient)


def test_a_worker_that_the_kernel_killed_for_memory(patient: Stack) -> None:
    eat = "a = b'x' * (3 << 29)"  # beside the workers, which are then the ones to go
    container = patient.container("app")
    act(patient, "app", f"for pid in {WORKERS}; do echo 1000 >/proc/$pid/oom_score_adj; done")
    try:
        patient.exec("app", "python3", "-c", eat)
        found = wait_for(patient, "worker-out-of-memory", alive="app")
        assert found.hop == "uwsgi"
    finally:
        container.restart()
    wait_until_healthy(patient)


def test_a_start_that_init_refused(
    make_stack: Callable[..., Stack], pytestconfig: pytest.Config
) -> None:
    stack = make_stack(SITE_WORKERS="none")
    try:
        stack.compose("up", "--detach", "--no-build", check=False)
        findings = walk(stack)
        assert first_broken(findings).cause == "init-failed"
        assert "SITE_WORKERS is wrong" in first_broken(findings).summary
    finally:
        discard(stack, pytestconfig)


def test_a_change_that_init_refused(patient: Stack) -> None:
    """The app had run before: its container is not new, and its own log says nothing of this."""
    other = Stack(patient.directory, patient.project, {**patient.variables, "SITE_WORKERS": "none"})
    other.compose("up", "--detach", "--no-build", check=False)
    try:
        assert "SITE_WORKERS is wrong" in wait_for(patient, "init-failed", alive="init").summary
    finally:
        patient.compose("up", "--detach", "--no-build")
    wait_until_healthy(patient)


def test_a_port_that_is_taken(
    make_stack: Callable[..., Stack], pytestconfig: pytest.Config
) -> None:
    stack = make_stack()
    try:
        with socket.create_server(("127.0.0.1", int(stack.variables["SITE_PORT"]))):
            stack.compose("up", "--detach", "--no-build", check=False)
            found = first_broken(walk(stack))
        assert found.cause == "port-taken"
    finally:
        discard(stack, pytestconfig)


def test_a_stack_that_was_never_started(run: str) -> None:
    assert first_broken(walk(Stack(ROOT, f"{run}-none"))).cause == "stack-not-started"


def test_two_faults_at_once(patient: Stack) -> None:
    """The earlier hop comes first; the later one is named, too."""
    act(patient, "app", f"chmod 600 {SOCKET}")
    act(patient, "app", FAULTS["migrations-missing"].break_it)
    try:
        findings = walk(patient)
        assert [f.cause for f in findings if f.cause] == ["socket-mode", "migrations-missing"]
    finally:
        act(patient, "app", f"chmod 660 {SOCKET}")
        act(patient, "app", FAULTS["migrations-missing"].mend_it)
    assert_healthy(patient)


def test_no_false_alarm_under_load_nor_just_after_a_restart(patient: Stack) -> None:
    busy = threading.Event()
    busy.set()
    with ThreadPoolExecutor(4) as visitors:

        def visit() -> None:
            while busy.is_set():
                requests.get(patient.url, timeout=10)

        for _ in range(4):
            visitors.submit(visit)
        try:
            for _ in range(5):
                assert_healthy(patient)
        finally:
            busy.clear()
    patient.container("app").restart()
    patient.wait("it accepts", lambda: patient.uwsgi("ping", SOCKET), 20, "app")
    assert_healthy(patient)


def test_every_cause_has_a_test_and_a_line_in_the_docs() -> None:
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [cause for cause in CAUSES if f'"{cause}"' not in source] == []
    assert (ROOT / "docs/causes.md").read_text() == table()
