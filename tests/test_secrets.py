"""The secret key: made once, changed without a loss, and nowhere but in its file."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.conftest import ROOT, started
from tests.support.people import command, create_user, is_logged_in, log_in
from tests.support.stack import Stack

KEY = "/srv/data/secret_key"
SERVICES = ("init", "app", "nginx")


def keys(stack: Stack) -> list[str]:
    return stack.run("app", "cat", KEY).split("\n")


def test_twenty_that_start_at_once_make_one_key(stack: Stack) -> None:
    """Each reads the key right after it made it, or did not: all have to see the same one."""
    program = """
import multiprocessing, pathlib, tempfile
from stack import secret_key

def start(barrier, directory, seen):
    path = pathlib.Path(directory, "secret_key")
    barrier.wait()
    seen.put((secret_key.make(path), path.read_text(), oct(path.stat().st_mode)))

for _ in range(10):
    with tempfile.TemporaryDirectory() as directory:
        barrier, seen = multiprocessing.Barrier(20), multiprocessing.SimpleQueue()
        several = [multiprocessing.Process(target=start, args=(barrier, directory, seen)) for _ in range(20)]
        [one.start() for one in several]
        found = [seen.get() for _ in several]
        [one.join() for one in several]
        left = [path.name for path in pathlib.Path(directory).iterdir()]
        print(sum(made for made, _, _ in found), len({key for _, key, _ in found}), {mode for _, _, mode in found}, left)
"""
    # multiprocessing's semaphores are made in /dev/shm, which every container has.
    lines = stack.run("app", "python3", "-c", program).splitlines()
    assert lines == ["1 1 {'0o100600'} ['secret_key']"] * 10


@pytest.fixture(scope="module")
def debug_stack(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    with started(make_stack(SITE_DEBUG="true"), pytestconfig) as stack:
        yield stack


def test_a_new_key_logs_nobody_out_and_drops_no_request(debug_stack: Stack) -> None:
    stack = debug_stack
    create_user(stack, "often")
    create_user(stack, "seldom")
    often, seldom = log_in(stack, "often"), log_in(stack, "seldom")
    (first,) = keys(stack)

    with ThreadPoolExecutor(5) as visitors:
        work = visitors.submit(command, stack, "scripts/rotate-secret-key")
        statuses = set()
        while not work.done():
            got = visitors.map(lambda _: requests.get(stack.url, timeout=10).status_code, range(4))
            statuses |= set(got)
    assert work.result().returncode == 0, work.result().stderr
    assert work.result().stderr.endswith("older ones that still count: 1.\n")
    assert statuses == {200}

    second, older = keys(stack)
    assert older == first != second
    assert len(second) == len(first) == 67
    assert stack.run("app", "stat", "--format", "%a %u:%g", KEY) == "600 10001:10100\n"
    assert is_logged_in(stack, often)

    # Whoever came back since the change has a session under the new key; the other has not.
    assert command(stack, "scripts/rotate-secret-key", "--forget").returncode == 0
    assert keys(stack) == [second]
    assert is_logged_in(stack, often)
    assert not is_logged_in(stack, seldom)

    # A site that is not there cannot load a key, and is told so in a sentence.
    process = command(Stack(ROOT, f"{stack.project}-none"), "scripts/rotate-secret-key")
    assert process.returncode == 1
    assert "the site does not run: start it with scripts/up first" in process.stderr


@pytest.mark.expect_log('"status":500|"level": "ERROR"|^Traceback')
def test_the_key_is_nowhere_but_in_its_file(debug_stack: Stack) -> None:
    """After use of the site, an error page with all settings and a doctor's report among it."""
    stack = debug_stack
    command(stack, "scripts/rotate-secret-key")
    secrets = keys(stack)
    assert len(secrets) == 2
    seen = {}

    table = "import sqlite3; sqlite3.connect('/srv/data/db.sqlite3').execute('ALTER TABLE {} RENAME TO {}')"
    stack.run("app", "python3", "-c", table.format("welcome_upload", "away"))
    try:
        answer = requests.get(stack.url, timeout=10)
        assert answer.status_code == 500
        assert "SECRET_KEY_FALLBACKS" in answer.text  # the page does show the settings
        seen["error page"] = answer.text
        for form in ("json", "junit"):
            report = command(stack, sys.executable, "-m", "whichhop", "--format", form)
            assert report.returncode == 1, report.stderr
            seen[form] = report.stdout + report.stderr
    finally:
        stack.run("app", "python3", "-c", table.format("away", "welcome_upload"))

    for service in SERVICES:
        container = stack.container(service)
        seen[f"log of {service}"] = stack.logs(service)
        seen[f"inspect {service}"] = json.dumps(container.attrs)
        image = stack.engine.images.get(f"{stack.project}-{service.replace('init', 'app')}")
        seen[f"image of {service}"] = json.dumps([image.attrs, image.history()])
    for service in SERVICES[1:]:
        seen[f"environment of {service}"] = stack.run(
            service, "bash", "-c", "cat /proc/[0-9]*/environ; env"
        )
    seen["compose config"] = stack.compose("config").stdout
    for name, text in seen.items():
        assert len(text) > 50, name
        assert not [secret for secret in secrets if secret in text], name
    assert stack.exec("nginx", "ls", "/srv/data").code != 0


@pytest.mark.parametrize("name", ["app", "nginx"])
def test_no_layer_of_an_image_has_a_key(images: str, name: str) -> None:
    """Every file of every layer, also of those that a later one hides: ``docker save`` has them all."""
    save = subprocess.Popen(["docker", "save", f"{images}-{name}"], stdout=subprocess.PIPE)
    layers = 0
    found = []
    with save, tarfile.open(fileobj=save.stdout, mode="r|") as image:
        for blob in filter(tarfile.TarInfo.isfile, image):
            try:
                layer = tarfile.open(fileobj=image.extractfile(blob), mode="r|*")  # noqa: SIM115
            except tarfile.ReadError:  # a list of layers
                continue
            layers += 1
            for member in layer:
                if member.name.startswith("srv/data/") or member.name.endswith("secret_key"):
                    found.append(member.name)
    assert save.returncode == 0
    assert layers > 4
    assert found == []
