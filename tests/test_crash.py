"""Whatever is killed, the site comes back by itself, and what it said it has, it has."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT
from tests.support.engine import PrivateEngine, StackElsewhere
from tests.support.load import Load
from tests.support.people import create_user, log_in
from tests.support.stack import Stack, StackError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an engine to kill needs root")

TITLES = "from welcome.models import Upload; import json; print(json.dumps(list(Upload.objects.values_list('title', flat=True))))"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    directory = tmp_path_factory.mktemp("engine")
    with PrivateEngine(directory, os.getpid() % 64) as engine:
        yield engine


@pytest.fixture(scope="module")
def crashing(images: str, engine: PrivateEngine) -> StackElsewhere:
    """A stack that comes back after each test, on an engine that may be killed."""
    engine.load([f"{images}-{name}" for name in ("app", "nginx-config", "nginx")])
    stack = StackElsewhere(ROOT, images, engine)
    stack.up("--no-build")
    create_user(stack, "admin")
    return stack


@pytest.fixture(scope="module")
def admin(crashing: StackElsewhere) -> requests.Session:
    return log_in(crashing, "admin")


def pid(stack: Stack, service: str) -> int:
    """Return the process number, on this machine, of a container's first process."""
    return int(stack.container(service).attrs["State"]["Pid"])


def children(parent: int, *names: str) -> list[int]:
    """Return the children of a process that have one of these names."""
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [
        int(child) for child in found if Path(f"/proc/{child}/comm").read_text().strip() in names
    ]


def master(stack: Stack, service: str) -> int:
    """Return the process number of nginx or of uWSGI, on this machine."""
    [found] = children(pid(stack, service), "nginx", "uwsgi")
    return found


def kill_first(service: str) -> Callable[[StackElsewhere], None]:
    return lambda stack: os.kill(pid(stack, service), signal.SIGKILL)


def kill_master(service: str) -> Callable[[StackElsewhere], None]:
    return lambda stack: os.kill(master(stack, service), signal.SIGKILL)


def kill_workers(service: str, most: int | None = None) -> Callable[[StackElsewhere], None]:
    def act(stack: StackElsewhere) -> None:
        for child in children(master(stack, service), "nginx", "uwsgi")[:most]:
            os.kill(child, signal.SIGKILL)

    return act


def kill_relays(service: str) -> Callable[[StackElsewhere], None]:
    """Both are replaced; what is said meanwhile is not lost."""

    def act(stack: StackElsewhere) -> None:
        first = pid(stack, service)
        for child in children(first, "log-relay"):
            os.kill(child, signal.SIGKILL)
        address = f"/killed-relays-{time.monotonic()}"
        assert requests.get(stack.url + address, timeout=10).status_code == 404
        stack.log_entry(service, address)
        assert pid(stack, service) == first

    return act


def use_up_the_memory(stack: StackElsewhere) -> None:
    """The kernel, asked to end the first process before all others, ends the container."""
    Path(f"/proc/{pid(stack, 'app')}/oom_score_adj").write_text("1000")
    hog = "x = []\nwhile True: x.append(bytearray(2**24))"
    with pytest.raises(StackError):
        stack.run("app", "python3", "-c", hog)


def restart_engine(stack: StackElsewhere) -> None:
    stack.private.stop()
    stack.private.start()


def kill_engine(stack: StackElsewhere) -> None:
    """Nobody reads the containers' logs for a while; then the engine is started again."""
    stack.private.kill()
    visitor = requests.Session()
    for _ in range(200):  # nginx and Django log the address: far more than pipes can take
        for path in ("/static/", "/"):
            answer = visitor.get(stack.url + path + "x" * 7_000, timeout=10)
            assert answer.status_code == 404
    stack.private.start()


def cut_the_power(stack: StackElsewhere) -> None:
    stack.private.cut_the_power()
    stack.private.start()


CRASHES = {
    "one uWSGI worker": kill_workers("app", 1),
    "all uWSGI workers": kill_workers("app"),
    "uWSGI's master": kill_master("app"),
    "the app's log-relay": kill_first("app"),
    "what relays the app's log": kill_relays("app"),
    "the app, for memory": use_up_the_memory,
    "one nginx worker": kill_workers("nginx", 1),
    "all nginx workers": kill_workers("nginx"),
    "nginx's master": kill_master("nginx"),
    "nginx's log-relay": kill_first("nginx"),
    "what relays nginx's log": kill_relays("nginx"),
    "the Docker engine, stopped and started": restart_engine,
    "the Docker engine, kill -9": kill_engine,
    "everything, kill -9": cut_the_power,
}


@pytest.mark.parametrize("name", CRASHES)
def test_it_comes_back_by_itself(
    crashing: StackElsewhere,
    admin: requests.Session,
    name: str,
    record_property: Callable[[str, object], None],
) -> None:
    with Load(crashing, admin) as load:
        crashing.wait("there are visitors", lambda: len(load.sent) > 50, 30)
        began = time.monotonic()
        CRASHES[name](crashing)
        load.wait_for_calm(60)
    failed = load.failed()
    healthy = max((sent.began + sent.seconds for sent in failed), default=began) - began
    kept = json.loads(crashing.manage("shell", "--verbosity", "0", "--command", TITLES))
    assert load.acknowledged
    assert set(load.acknowledged) <= set(kept), "what was acknowledged is gone"
    record_property("killed", (name, len(load.sent), len(failed), round(healthy, 1)))
