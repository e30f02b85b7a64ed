"""
Stacks for the tests: real ones, each with its own Compose project, port and volumes.

`stack` is shared by the tests of one worker, which leave it as they found it; `new_stack` makes one
for a single test. Everything that a run makes carries the run's name and is removed at its end.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from playwright.sync_api import Browser, sync_playwright
from whichhop.finding import HOPS
from whichhop.target.stack import LOG_LINES, SERVICE_LABEL

from tests.support import doctor
from tests.support.people import create_user, log_in
from tests.support.stack import PROJECT_LABEL, Stack, StackError
from tests.support.whole import Whole

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("init", "app", "nginx")
IMAGES = ("app", "nginx-config", "nginx", "certificate")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

# What no test may leave in a log unnoticed; one that means to says so with `expect_log`.
TROUBLE = re.compile(
    r"^(nginx:|[\d/]+ [\d:]+) \[(alert|crit|emerg)\]"  # nginx
    r'|"hop":"nginx".*"status":5\d\d'
    r"|invalid request block size|listen queue|HARAKIRI|DAMN"  # uWSGI
    r'|"level": "(ERROR|CRITICAL)"|^Traceback',  # Django
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--keep", action="store_true", help="leave the stacks running, to look at them"
    )
    parser.addoption("--whole", action="store_true", help="proofs at length (dev/prove)")


# -- one name for everything that a run makes


def run_name(config: pytest.Config) -> str:
    """The run's name: the same in all workers of a run, different in any other run."""
    if hasattr(config, "workerinput"):
        return str(config.workerinput["run_name"])
    return f"mysite-test-{os.getpid()}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the name to a worker (pytest-xdist)."""
    node.workerinput["run_name"] = run_name(node.config)


def pytest_configure(config: pytest.Config) -> None:
    """Let "terminate", as a CI sends it, end a run as Ctrl-C does: cleaning up."""
    # What a shell starts with "&" ignores Ctrl-C, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what is left of the run: also when a worker crashed, or somebody pressed Ctrl-C."""
    if hasattr(config, "workerinput") or config.getoption("--keep"):
        return
    try:
        engine = docker.from_env()
    except docker.errors.DockerException:
        return
    prefix = f"{run_name(config)}-"
    for container in engine.containers.list(
        all=True, filters={"label": PROJECT_LABEL}, ignore_removed=True
    ):
        if container.labels[PROJECT_LABEL].startswith(prefix):
            container.remove(force=True, v=True)
    for kind in (engine.networks, engine.volumes):
        for item in kind.list(filters={"label": PROJECT_LABEL}):
            if str(item.name).startswith(prefix):
                item.remove()
    for image in engine.api.images(filters={"label": PROJECT_LABEL}):
        if f"{image['Labels'][PROJECT_LABEL]}-".startswith(prefix):
            engine.images.remove(image["Id"], force=True)


# A file's tests share stacks, so that scripts/test gives each file to one worker. What takes longest is
# begun first, or one worker would be left alone with it in the end.
LONGEST = (
    "foreign_unix",
    "deploy",
    "doctor",
    "foreign_tcp",
    "readme",
    "scripts",
    "tls",
    "crash",
    "emperor",
    "ladder",
    "acme",
    "static",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; the others stay as they are."""
    first = {ROOT / "tests" / f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.path, len(first)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let no proof count that could not be tried."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--whole") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> Whole:
    """Whether the test is to prove all of it (dev/prove), and what it has proven so far."""
    return Whole(request.config.getoption("--whole"), request.node.name)


# -- stacks


@pytest.fixture(autouse=True)
def _a_new_patient() -> None:
    """Let the doctor of this test forget what the logs say from before it."""
    doctor.began = time.time()


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> str:
    return run_name(pytestconfig)


@pytest.fixture(scope="session")
def images(run: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build all images once for all workers; return the project that they are named after."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    done = shared / "images-are-built"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            overlays = {"COMPOSE_FILE": "compose.yaml:compose/tls.yaml"}
            Stack(ROOT, run, overlays).compose("build", timeout=900)
            done.touch()
    return run


@pytest.fixture(scope="session")
def free_port() -> Iterator[Callable[[], int]]:
    """Return a function that finds a port on which nothing listens."""
    with contextlib.ExitStack() as lock:
        # Five hundred ports for each process, below those that the kernel gives to outgoing connections: what
        # one worker has found, and not yet taken, another one of any run would find as well.
        for first in range(20_000, 32_000, 500):
            with contextlib.suppress(OSError):  # somebody has it
                file = (Path(tempfile.gettempdir()) / f"mysite-test-ports-{first}").open("w")
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.enter_context(file)
                break
        else:
            raise RuntimeError("too many runs of the tests at once: all ports are taken")
        candidates = iter(range(first, first + 500))

        def find() -> int:
            for port in candidates:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)):
                        return port
            raise RuntimeError("no free port left")

        yield find


@pytest.fixture(scope="session")
def ladder_ports(free_port: Callable[[], int]) -> Callable[[], str]:
    """Return a function that finds ten free ports, and gives what their numbers begin with."""

    def find() -> str:
        while (port := free_port()) % 10:
            pass
        return str(port // 10)

    return find


def copy_project(directory: Path) -> Path:
    """
    Copy what a fresh clone would have, changes not yet committed included; return where to.

    To a folder whose name has a space and is no other copy's: of two folders of the same name the
    engine's builder takes one's files for the other's (their modes, for example), and builds anew.
    """
    copy = directory / f"my {directory.name}"
    # safe.directory: git otherwise refuses when the suite runs as root on another user's clone.
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-zco", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    """Return a copy of the project in a folder with a space."""
    return copy_project(tmp_path)


@pytest.fixture(scope="session")
def make_stack(run: str, images: str, free_port: Callable[[], int]) -> Callable[..., Stack]:
    """Return a function that prepares a stack of the run's images, without starting it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    numbers = iter(range(1000))

    def make(directory: Path = ROOT, **variables: str) -> Stack:
        project = f"{run}-{worker}-{next(numbers)}"
        engine = docker.from_env()
        for name in IMAGES:
            engine.images.get(f"{images}-{name}").tag(f"{project}-{name}")
        return Stack(directory, project, {"SITE_PORT": str(free_port()), **variables})

    return make


def image_names() -> dict[str, str]:
    """Return the names of all images of the engine, each with the image's id."""
    # Not images.list(): that asks for each one again, and another test may have removed it by then.
    images = docker.from_env().api.images()
    return {name: image["Id"] for image in images for name in image["RepoTags"] or ()}


def remove(stack: Stack) -> None:
    """Remove a stack with all that is its own: containers, networks, volumes, the names of its images."""
    stack.compose("kill", check=False)
    stack.down("--volumes")
    # :latest, and what scripts/deploy keeps as :previous
    for name in image_names():
        if name.startswith(f"{stack.project}-"):
            stack.engine.images.remove(name, noprune=True)


def discard(stack: Stack, config: pytest.Config) -> None:
    if not config.getoption("--keep"):
        remove(stack)


@contextlib.contextmanager
def started(stack: Stack, config: pytest.Config) -> Iterator[Stack]:
    """Start a stack that `make_stack` prepared, and remove it in the end, whatever happens."""
    try:
        stack.up("--no-build")
        yield stack
    finally:
        discard(stack, config)


@contextlib.contextmanager
def watched(test: pytest.Item, stack: Stack) -> Iterator[Stack]:
    """Fail a test when it leaves unexpected trouble in a stack's log, and show that log if it fails."""
    test.stash.setdefault(STACKS, []).append((stack, time.time()))
    yield stack
    assert_no_trouble(test)


@pytest.fixture(scope="session")
def shared_stack(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    with started(make_stack(), pytestconfig) as stack:
        yield stack


@pytest.fixture
def stack(request: pytest.FixtureRequest, shared_stack: Stack) -> Iterator[Stack]:
    """A healthy stack that other tests use too: leave it as you found it."""
    with watched(request.node, shared_stack) as stack:
        yield stack


@pytest.fixture
def new_stack(
    request: pytest.FixtureRequest,
    make_stack: Callable[..., Stack],
    pytestconfig: pytest.Config,
) -> Iterator[Callable[..., Stack]]:
    """Return a function that starts a stack for this test alone; its arguments are variables."""
    stacks = request.node.stash.setdefault(STACKS, [])

    def start(**variables: str) -> Stack:
        stack = make_stack(**variables)
        stacks.append((stack, None))
        stack.up("--no-build")
        return stack

    try:
        yield start
        assert_no_trouble(request.node)
    finally:
        for stack, _ in stacks:
            discard(stack, pytestconfig)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip('no Chromium here: install Debian\'s package "chromium"')
    arguments = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's sandbox does not work for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def admin(shared_stack: Stack) -> requests.Session:
    """Somebody who may do everything on the shared stack."""
    create_user(shared_stack, "admin")
    return log_in(shared_stack, "admin")


# -- logs

# The stacks that a test used, each with the time from which its log belongs to the test.
STACKS = pytest.StashKey[list[tuple[Stack, float | None]]]()


def assert_no_trouble(item: pytest.Item) -> None:
    """Fail when a log has a line that means trouble and the test did not expect it."""
    expected = [re.compile(mark.args[0]) for mark in item.iter_markers("expect_log")]
    for stack, since in item.stash[STACKS]:
        # One question for all containers: this is asked after each test.
        labels = [f"{PROJECT_LABEL}={stack.project}", "com.docker.compose.oneoff=False"]
        seen = set()
        for container in stack.engine.api.containers(all=True, filters={"label": labels}):
            if (service := container["Labels"][SERVICE_LABEL]) not in SERVICES:
                continue
            seen.add(service)
            log = stack.engine.api.logs(container["Id"], since=since, tail=LOG_LINES)
            for line in log.decode(errors="replace").splitlines():
                if TROUBLE.search(line) and not any(pattern.search(line) for pattern in expected):
                    pytest.fail(f"unexpected line in the log of {service}:\n{line}")
        assert seen == {*SERVICES}, f"{stack} has only {seen}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the logs of a failed test's stacks into its report."""
    report = yield
    if report.failed:
        for stack, since in item.stash.get(STACKS, []):
            for service in SERVICES:
                with contextlib.suppress(StackError):
                    log = "\n".join(stack.logs(service, since).splitlines()[-40:])
                    report.sections.append((f"{stack.project}: log of {service}", log))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was broken on purpose, and what came of it."""
    passed = terminalreporter.getreports("passed")
    seen = [dict(report.user_properties) for report in passed if report.when == "call"]
    if killed := [properties["killed"] for properties in seen if "killed" in properties]:
        terminalreporter.section("killed: requests, failed of them, seconds until healthy")
        for name, sent, failed, seconds in killed:
            terminalreporter.write_line(f"{name:<40} {sent:>6} {failed:>6} {seconds:>6} s")
    if under_load := [
        properties["under_load"] for properties in seen if "under_load" in properties
    ]:
        terminalreporter.section("under load: what was done, requests, failed of them")
        for name, sent, failed in under_load:
            terminalreporter.write_line(f"{name:<60} {sent:>6} {failed:>6}")
    show_faults(terminalreporter, [properties for properties in seen if "cause" in properties])


def show_faults(terminalreporter: pytest.TerminalReporter, faults: list[dict[str, Any]]) -> None:
    """Show which failures were injected, what the doctor called each, and how long that took."""
    if not faults:
        return
    rows = [(f["hop"], f["cause"], f["seconds"], f.get("entry", "")) for f in faults]
    terminalreporter.section(
        "failures injected and named: hop, cause, seconds, what people know it as"
    )
    for hop, cause, seconds, entry in sorted(rows, key=lambda row: (HOPS.index(row[0]), row[1])):
        terminalreporter.write_line(f"{hop:<9} {cause:<29} {seconds:>5} s  {entry}")
    slowest = max(row[2] for row in rows)
    causes = len({row[1] for row in rows})
    terminalreporter.write_line(f"{len(rows)} injected, {causes} causes, the slowest {slowest} s")
