"""The Emperor: two sites in one container, of which neither sees, disturbs or ends the other."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from whichhop.causes import CAUSES
from whichhop.diagnosis import diagnose
from whichhop.finding import WORKS, Finding, Verdict
from whichhop.target.discovery import sites
from whichhop.target.processes import Process

from tests.conftest import copy_project, started, watched
from tests.support.doctor import assert_healthy, walk
from tests.support.load import Load
from tests.support.people import create_user, log_in
from tests.support.stack import Stack, StackError
from tests.support.terminal import Terminal, refusal

MYSITE, HELLO = "10001:10100", "10003:10103"
HELLO_SOCKET = "/run/hello/hello.sock"

# A site in one line of its ini; it says when it has begun, and is done some seconds later.
SLOW = (
    r"""exec("import pathlib, time\ndef application(env, start):\n"""
    r""" pathlib.Path('/run/hello/began').touch()\n time.sleep(5)\n"""
    r""" start('200 OK', [])\n return [b'done']")"""
)
BLOG = r"""exec("def application(env, start):\n start('200 OK', [])\n return [b'A blog']")"""

# Somebody in the place of a site: what may be read, connected to and signalled? Signal 0 does nothing.
TRY = """
import json, os, socket, sys
def connect(path): socket.socket(socket.AF_UNIX).connect(path)
def signal(pid): os.kill(int(pid), 0)
def attempt(act, what):
    try: act(what)
    except OSError as error: return type(error).__name__
    return "done"
acts = {"read": lambda path: open(path, "rb").read(1), "connect": connect, "signal": signal}
print(json.dumps([attempt(acts[act], what) for act, what in json.loads(sys.argv[1])]))
"""


class Empire:
    """A stack with an Emperor, and the directory of a clone with the ini files of its vassals."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.directory = stack.directory / "uwsgi/vassals"
        self.is_changed = False
        self.inis = {file.name: file.read_text() for file in self.directory.glob("*.ini")}

    def publish(self, name: str = "", text: str | None = None) -> str:
        """Write an ini file, or remove it with no text, and publish; return what the job said."""
        self.is_changed = True
        if text is not None:
            (self.directory / name).write_text(text)
        elif name:
            (self.directory / name).unlink()
        return self.stack.compose("run", "--rm", "vassals").stdout

    def restore(self) -> None:
        """Publish the files as they were, and wait until all vassals run."""
        if not self.is_changed:
            return
        for file in self.directory.glob("*.ini"):
            if file.name not in self.inis:
                file.unlink()
        for name, text in self.inis.items():
            if not (self.directory / name).exists() or (self.directory / name).read_text() != text:
                (self.directory / name).write_text(text)
        self.publish()
        for name in self.inis:
            self.wait_for(name)
        self.is_changed = False

    @property
    def stats(self) -> dict[str, Any]:
        """What the Emperor says."""
        ask = (
            "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/emperor/stats.sock');"
            "print(s.makefile().read())"
        )
        said: dict[str, Any] = json.loads(self.stack.run("app", "python3", "-c", ask))
        return said

    def vassal(self, name: str) -> dict[str, Any]:
        """What the Emperor says of a vassal that takes requests; empty when there is no such."""
        found = (v for v in self.stats["vassals"] if v["id"] == name and v["accepting"])
        return next(found, {})

    def wait_for(self, name: str) -> None:
        self.stack.wait(f"{name} takes requests", lambda: self.vassal(name), 30, "app")

    def processes(self, name: str) -> list[Process]:
        """The master of a vassal, and then its workers."""
        found = [p for p in self.stack.processes("app") if p.command.endswith(f" --ini {name}")]
        return sorted(found, key=lambda process: process.parent)

    def hello(self) -> requests.Session:
        """A visitor of the second site."""
        visitor = requests.Session()
        visitor.headers["Host"] = f"hello.localhost:{self.stack.variables['SITE_PORT']}"
        return visitor


@pytest.fixture(scope="module")
def made(
    make_stack: Callable[..., Stack],
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Empire]:
    clone = copy_project(tmp_path_factory.mktemp("emperor"))
    # As somebody clones it who is not root, and lets nobody else read it.
    for path in (clone / "uwsgi/vassals", *(clone / "uwsgi/vassals").glob("*.ini")):
        os.chown(path, 1000, 1000)
        path.chmod(0o700 if path.is_dir() else 0o600)
    overlays = "compose.yaml:compose/emperor.yaml:tests/runaway/compose.yaml"
    with started(make_stack(clone, COMPOSE_FILE=overlays), pytestconfig) as stack:
        create_user(stack, "admin", as_user=MYSITE)  # root without rights has no database
        yield Empire(stack)


@pytest.fixture
def empire(made: Empire, request: pytest.FixtureRequest) -> Iterator[Empire]:
    """Two sites that work; afterwards there are these two again."""
    with watched(request.node, made.stack):
        try:
            yield made
        finally:
            made.restore()


@pytest.fixture(scope="module")
def admin(made: Empire) -> requests.Session:
    return log_in(made.stack, "admin")


def test_each_host_leads_to_its_site(empire: Empire) -> None:
    url = empire.stack.url
    assert empire.hello().get(url, timeout=5).text == "Hello World"
    assert "Hello World" not in requests.get(url, timeout=5).text
    assert requests.get(url, headers={"Host": "other.localhost"}, timeout=5).status_code == 421


def test_each_site_has_a_user_of_its_own_and_no_rights(empire: Empire) -> None:
    for name, identity in ("mysite.ini", MYSITE), ("hello.ini", HELLO):
        vassal = empire.processes(name)
        assert len(vassal) == {"mysite.ini": 5, "hello.ini": 3}[name]
        for process in vassal:
            assert str(process.identity) == identity
            assert process.identity.groups == frozenset()
            status = empire.stack.run("app", "cat", f"/proc/{process.pid}/status")
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert {fields[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Amb")} == {"0" * 16}
            assert fields["NoNewPrivs"] == "1"
    host = empire.stack.container("app").attrs["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert sorted(cap.removeprefix("CAP_") for cap in host["CapAdd"]) == [
        "KILL",
        "SETGID",
        "SETUID",
    ]
    assert host["ReadonlyRootfs"]
    assert host["NetworkMode"] == "none"
    assert host["SecurityOpt"] == ["no-new-privileges:true"]


def test_no_site_can_read_reach_or_end_the_other(empire: Empire) -> None:
    theirs = {
        identity: [("signal", str(p.pid)) for p in processes]
        + [("read", f"/proc/{p.pid}/environ") for p in processes]
        + [("read", f"/run/vassals/{name}")]
        for name, identity in (("mysite.ini", MYSITE), ("hello.ini", HELLO))
        if (processes := empire.processes(name))
    }
    theirs[MYSITE] += [("read", f"/srv/data/{name}") for name in ("secret_key", "db.sqlite3")]
    theirs[MYSITE] += [
        ("connect", path)
        for path in ("/run/uwsgi/mysite.sock", "/tmp/uwsgi.sock", "/tmp/stats.sock")
    ]
    theirs[HELLO] += [("connect", HELLO_SOCKET)]
    emperors = [("connect", "/run/emperor/stats.sock"), ("signal", "1")]

    def attempts(user: str, acts: list[tuple[str, str]]) -> set[str]:
        return set(
            json.loads(empire.stack.run("app", "python3", "-c", TRY, json.dumps(acts), user=user))
        )

    assert attempts(MYSITE, theirs[MYSITE]) == attempts(HELLO, theirs[HELLO]) == {"done"}
    assert attempts(MYSITE, theirs[HELLO] + emperors) == {"PermissionError"}
    assert attempts(HELLO, theirs[MYSITE] + emperors) == {"PermissionError"}
    # A site owns its ini, and still cannot change it; nor put one beside it.
    for user, name in (MYSITE, "mysite.ini"), (HELLO, "hello.ini"):
        for command in f"chmod 600 /run/vassals/{name}", "touch /run/vassals/mine.ini":
            said = empire.stack.exec("app", *command.split(), user=user).err
            assert "Read-only file system" in said


def ini(socket: str, code: str) -> str:
    """Return the ini of a site that is one line of Python."""
    return (
        "[uwsgi]\nuid = 10003\ngid = 10103\nstrict = true\nneed-app = true\nmax-fd = 4096\n"
        f"binary-path = /venv/bin/python3\nsocket = {socket}\nchmod-socket = 660\nvacuum = true\n"
        f"worker-reload-mercy = 30\nprocesses = 2\neval = {code}\n"
    )


@pytest.mark.expect_log("^Traceback")
def test_what_happens_to_one_site_the_others_do_not_notice(
    empire: Empire, admin: requests.Session, record_property: Callable[[str, object], None]
) -> None:
    """Added, touched, broken, mended, removed: each under load on the others."""
    stack, socket = empire.stack, "/run/hello/blog.sock"
    before = {name: empire.processes(name) for name in empire.inis}

    def blog() -> str:
        host = {"HTTP_HOST": "blog.localhost"}
        answer: Any = stack.uwsgi("request", socket, host, "", 5, user=HELLO)
        return str(answer[2])

    def throttled() -> bool:
        bad = empire.stats["blacklist"]
        return any(item["id"] == "blog.ini" and item["attempt"] >= 2 for item in bad)

    with Load(stack, admin, 1, 1) as load, Load(stack, empire.hello(), 1, 0) as load_of_hello:
        assert "blog.ini published, for 10003:10103" in empire.publish(
            "blog.ini", ini(socket, BLOG)
        )
        empire.wait_for("blog.ini")
        assert blog() == "A blog"
        first = empire.processes("blog.ini")

        # What is not touched is left alone; what is, gets new workers under the same master.
        assert empire.publish() == ""
        os.utime(empire.directory / "blog.ini", (time.time() + 2, time.time() + 2))
        assert "blog.ini" in empire.publish()

        def reloaded() -> bool:
            now = empire.processes("blog.ini")
            return len(now) == 3 and now[0].pid == first[0].pid and not {*now[1:]} & {*first[1:]}

        stack.wait("blog.ini is reloaded", reloaded, 20, "app")
        assert blog() == "A blog"

        # Broken, it is tried again, less and less often.
        empire.publish("blog.ini", ini(socket, "import nothing_of_that_name"))
        stack.wait("blog.ini is throttled", throttled, 30, "app")
        assert "bad behaving vassal found: blog.ini throttling it" in stack.logs("app")
        assert "No module named 'nothing_of_that_name'" in stack.logs("app")
        empire.publish("blog.ini", ini(socket, BLOG))
        empire.wait_for("blog.ini")
        assert blog() == "A blog"

        assert "blog.ini removed" in empire.publish("blog.ini")
        stack.wait("blog.ini is gone", lambda: not empire.processes("blog.ini"), 20, "app")
        with pytest.raises(StackError, match="No such file"):
            blog()

    assert load.failed() == load_of_hello.failed() == []
    assert load.acknowledged
    assert {name: empire.processes(name) for name in empire.inis} == before
    sent = len(load.sent) + len(load_of_hello.sent)
    record_property("under_load", ("a vassal added, touched, broken, mended, removed", sent, 0))


def test_touching_a_site_drops_none_of_its_own_requests(
    empire: Empire, admin: requests.Session, record_property: Callable[[str, object], None]
) -> None:
    before = {name: empire.processes(name) for name in empire.inis}
    with Load(empire.stack, admin, 1, 1) as load, Load(empire.stack, empire.hello(), 1, 0) as other:
        for name in empire.inis:
            os.utime(empire.directory / name, (time.time() + 2, time.time() + 2))
        empire.publish()
        for name, old in before.items():

            def replaced(name: str = name, old: list[Process] = old) -> bool:
                now = empire.processes(name)
                return len(now) == len(old) and not {*now[1:]} & {*old[1:]}

            empire.stack.wait(f"{name} is reloaded", replaced, 30, "app")
            empire.wait_for(name)
    assert load.failed() == other.failed() == []
    sent = len(load.sent) + len(other.sent)
    record_property("under_load", ("both vassals touched", sent, 0))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("uid = 10003\n", "", r"uwsgi/vassals/hello\.ini needs one line uid = NUMBER"),
        ("uid = 10003\n", "uid = 0\n", r"uwsgi/vassals/hello\.ini needs one line uid = NUMBER"),
        (
            "chmod-socket",
            "chmod-sockt",
            r"uWSGI refuses uwsgi/vassals/hello\.ini: .*unknown config directive: chmod-sockt",
        ),
    ],
)
def test_an_ini_that_is_no_good_is_refused_and_nothing_changes(
    empire: Empire, old: str, new: str, sentence: str
) -> None:
    with pytest.raises(StackError, match=sentence):
        empire.publish("hello.ini", empire.inis["hello.ini"].replace(old, new))
    ours = empire.stack.run("app", "cat", "/run/vassals/hello.ini", user=HELLO)
    assert ours == empire.inis["hello.ini"]


def test_a_second_file_in_the_same_second_is_noticed(empire: Empire) -> None:
    """The Emperor compares whole seconds."""
    empire.is_changed = True
    file = "/run/vassals/hello.ini"
    command = f"chown 0:0 {file}; touch {file}; stat -c %Y {file}; stack publish-vassals >&2; stat -c %Y {file}"
    said = empire.stack.compose("run", "--rm", "vassals", "bash", "-c", command).stdout
    before, after = map(int, said.split())
    assert after > before


# -- the health check, and the doctor


def chown(empire: Empire) -> None:
    """Do what git and many an editor do: make root the owner."""
    empire.is_changed = True
    empire.stack.compose("run", "--rm", "vassals", "chown", "0:0", "/run/vassals/hello.ini")
    refused = "invalid permissions for vassal hello.ini"
    empire.stack.wait("it is refused", lambda: refused in empire.stack.logs("app"), 20, "app")


def edit(name: str, old: str, new: str) -> Callable[[Empire], object]:
    """Return what publishes an ini in which something is replaced."""
    return lambda empire: empire.publish(name, empire.inis[name].replace(old, new))


def misspell(empire: Empire) -> None:
    """Write into the Emperor's own directory, past the job, which would refuse."""
    empire.is_changed = True
    spell = "cd /run/vassals; sed s/chmod-socket/chmod-sockt/ hello.ini >new; chmod 440 new; chown 10003:10103 new; mv new hello.ini"
    empire.stack.compose("run", "--rm", "vassals", "bash", "-e", "-c", spell)


def chmod(mode: str) -> Callable[[Empire], object]:
    """Return what changes the mode of hello's socket."""
    return lambda empire: empire.stack.run("app", "chmod", mode, HELLO_SOCKET, user=HELLO)


class Fault(NamedTuple):
    """How to break the second site, how to mend it besides, and what the doctor then says."""

    cause: str
    break_it: Callable[[Empire], object]
    words: str
    mend_it: Callable[[Empire], object] = lambda _: None


FAULTS = {
    "its ini has a typo": Fault(
        "vassal-failed",
        misspell,
        r"The vassal hello\.ini ends .*unknown config directive: chmod-sockt",
    ),
    "its app raises": Fault(
        "vassal-failed",
        edit(
            "hello.ini", "wsgi-file = /uwsgi/vassals/hello.py", "eval = import nothing_of_that_name"
        ),
        r"The vassal hello\.ini ends .*ModuleNotFoundError: No module named 'nothing_of_that_name'",
    ),
    "its ini is root's": Fault("vassal-refused", chown, r"vassal hello\.ini: .*\(0:0\)"),
    "its ini is gone": Fault(
        "vassal-missing",
        lambda empire: empire.publish("hello.ini"),
        r"No vassal .* has /run/hello/hello\.sock",
    ),
    "nginx may not connect": Fault(
        "socket-mode", chmod("600"), r"/run/hello/hello\.sock: its mode is 0600", chmod("660")
    ),
}


@pytest.mark.expect_log(
    r'/run/hello/hello\.sock failed|"host":"hello\.localhost.*"status":50[23]|reading response header'
)
@pytest.mark.expect_log("^Traceback")
@pytest.mark.parametrize("fault", FAULTS)
def test_the_doctor_names_the_vassal(
    empire: Empire, fault: str, record_property: Callable[[str, object], None]
) -> None:
    stack, (cause, break_it, words, mend_it) = empire.stack, FAULTS[fault]
    check = stack.container("app").attrs["Config"]["Healthcheck"]["Test"][1:]
    break_it(empire)

    def named() -> tuple[list[Finding], float] | None:
        started = time.monotonic()
        sick = [site for site in sites(stack) if site.name == "hello.localhost"]
        findings = [item for item in diagnose(sick[0]) if item.verdict is Verdict.BROKEN]
        seconds = time.monotonic() - started
        return (findings, seconds) if [finding.cause for finding in findings] == [cause] else None

    try:
        (found,), seconds = stack.wait(f"the doctor says {cause}", named, 30, "app")
        health = stack.exec("app", *check)
    finally:
        mend_it(empire)
    if fault == "its app raises":
        # Nothing is said of the site that works, though both have the same log.
        assert {item.site for item in walk(stack) if item.verdict not in WORKS} == {found.site}
    assert found.hop == CAUSES[cause].hop
    assert re.search(words, found.summary), found.summary
    assert "uwsgi/vassals/hello.ini" in found.fix or cause == "vassal-missing"
    if cause in ("vassal-failed", "vassal-refused"):
        assert (health.code, health.err) == (1, "not accepting requests: hello.ini\n")
    else:
        assert health.code == 0
    record_property("hop", found.hop)
    record_property("cause", cause)
    record_property("seconds", round(seconds, 1))
    record_property("entry", fault)


def test_the_doctor_walks_both_sites(empire: Empire) -> None:
    findings = assert_healthy(empire.stack)
    assert {finding.site for finding in findings} == {"localhost", "hello.localhost"}


def test_the_health_check_looks_into_the_django_site(empire: Empire) -> None:
    check = empire.stack.container("app").attrs["Config"]["Healthcheck"]["Test"][1:]
    assert empire.stack.exec("app", *check).code == 0
    empire.stack.run("app", "mv", "/tmp/uwsgi.sock", "/tmp/away", user=MYSITE)
    try:
        assert "/tmp/uwsgi.sock: " in empire.stack.exec("app", *check).err
    finally:
        empire.stack.run("app", "mv", "/tmp/away", "/tmp/uwsgi.sock", user=MYSITE)


# -- the end


def test_a_stop_finishes_what_every_site_is_answering(empire: Empire) -> None:
    """The last test: afterwards the stack is started again only to be removed."""
    stack = empire.stack
    empire.publish("hello.ini", ini(HELLO_SOCKET, SLOW))

    def busy() -> bool:
        said: Any = stack.uwsgi("stats", "/tmp/stats.sock", 3, user=MYSITE)
        began = stack.exec("app", "test", "-e", "/run/hello/began", user=HELLO).code == 0
        return began and any("/bad/slow" in line for line in said)

    def hello_is_slow() -> bool:
        return "eval" in stack.run("app", "cat", "/run/vassals/hello.ini", user=HELLO) and bool(
            empire.vassal("hello.ini")
        )

    stack.wait("hello is slow", hello_is_slow, 20, "app")
    with ThreadPoolExecutor() as visitors:
        slow = visitors.submit(requests.get, f"{stack.url}/bad/slow?seconds=5", timeout=30)
        other = visitors.submit(empire.hello().get, stack.url, timeout=30)
        stack.wait("both are at work", busy, 10, "app")
        stack.compose("stop", "app")
        assert (slow.result().status_code, slow.result().text) == (200, "done")
        assert (other.result().status_code, other.result().text) == (200, "done")
    state = stack.container("app").attrs["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)
    assert "NO MERCY" not in stack.logs("app")
    stack.compose("start", "app")


@pytest.mark.parametrize("script", ["deploy", "reload", "rotate-secret-key"])
def test_what_is_for_one_site_refuses(empire: Empire, tmp_path: Path, script: str) -> None:
    assert refusal(Terminal(empire.stack, tmp_path).run(f"scripts/{script}")) == (
        "this works with one site, and compose/emperor.yaml has several:"
        " docs/emperor.md says what to do there."
    )
