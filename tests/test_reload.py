"""scripts/reload: changed code is taken up without a dropped request, and broken code is not."""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest
import requests

from tests.conftest import ROOT, copy_project, discard
from tests.support.releases import add_app, name_release
from tests.support.stack import Stack
from tests.support.terminal import Terminal, refusal


@pytest.fixture(scope="module")
def site(
    make_stack: Callable[..., Stack],
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Terminal]:
    """A site that runs the code of its clone, with the app of tests/release."""
    directory = copy_project(tmp_path_factory.mktemp("reload"))
    (directory.parent / "tools").mkdir()
    stack = make_stack(directory, COMPOSE_FILE="compose.yaml:compose/dev.yaml")
    site = Terminal(stack, directory.parent / "tools")
    try:
        # Not built: the images are the run's, the code is the folder's.
        process = site.run("docker", "compose", "up", "--no-build", "--wait")
        assert process.returncode == 0, process.stderr
        yield site
    finally:
        discard(Stack(ROOT, stack.project, stack.variables), pytestconfig)


def name(site: Terminal) -> str:
    return requests.get(f"{site.stack.url}/release/name", timeout=10).text


def stats(site: Terminal) -> str:
    """Return what uWSGI says that its workers do."""
    return str(site.stack.uwsgi("stats", "/tmp/stats.sock", 5))


def workers(site: Terminal) -> list[str]:
    """Return their process ids."""

    def ask() -> list[str]:
        return re.findall(r"pid (\d+)", stats(site))

    return site.stack.wait("uWSGI says what its workers do", ask, 10, "app")


def reload(site: Terminal) -> None:
    process = site.run("scripts/reload")
    assert process.returncode == 0, process.stderr


def have_app(site: Terminal) -> None:
    """Add the app of tests/release, unless the first test did: that may have been another worker's."""
    if not (site.directory / "mysite" / "release").exists():
        add_app(site.directory)


def test_changed_code_is_served_after_a_reload_and_not_before(site: Terminal) -> None:
    container = site.stack.container("app").attrs["State"]["StartedAt"]
    # With a migration, too.
    add_app(site.directory)
    name_release(site.directory, "one")
    process = site.run("scripts/reload")
    assert re.fullmatch(
        r"  Checking the code … done \(\d+ s\)\n"
        r"  Running init … done \(\d+ s\)\n"
        r"  Reloading the workers … done \(\d+ s\)\n",
        process.stderr,
    ), process.stderr
    assert name(site) == "one"
    name_release(site.directory, "two")
    assert name(site) == "one"
    reload(site)
    assert name(site) == "two"
    assert requests.post(f"{site.stack.url}/release/hit", {"name": "x"}, timeout=5).text == "x"
    assert site.stack.container("app").attrs["State"]["StartedAt"] == container


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("mysite/urls.py", "def (", "SyntaxError"),
        ("mysite/urls.py", "import nowhere", "No module named 'nowhere'"),
        ("mysite/wsgi.py", "1 / 0", "division by zero"),
        ("mysite/settings.py", "ROOT_URLCONF = 'gone'", "No module named 'gone'"),
        (
            "welcome/models.py",
            "class New(models.Model): pass",
            "models have changed without a migration in welcome",
        ),
    ],
)
def test_code_that_does_not_work_leaves_the_old_one_serving(
    site: Terminal, file: str, text: str, reason: str
) -> None:
    path = site.directory / "mysite" / file
    before = path.read_text()
    before_it = workers(site)
    path.write_text(f"{before}\n{text}\n")
    try:
        process = site.run("scripts/reload")
    finally:
        path.write_text(before)
    sentence = refusal(process)
    assert sentence.startswith("the new code does not work, and the old one goes on: ")
    assert reason in process.stderr
    assert workers(site) == before_it
    assert requests.get(site.stack.url, timeout=5).status_code == 200


def test_no_worker_is_ended_while_it_may_have_a_request(site: Terminal) -> None:
    """All pause first: each finishes its request, and then takes no other until the reload is done."""
    have_app(site)
    before = site.stack.logs("app").count("raising 17")
    reload(site)
    assert site.stack.logs("app").count("raising 17") == before + 1

    page = f"{site.stack.url}/release/name"
    with ThreadPoolExecutor() as visitors:
        slow = visitors.submit(requests.get, f"{page}?seconds=3", timeout=30)
        site.stack.wait("a worker is busy", lambda: ": busy" in stats(site), 10, "app")
        site.stack.run("app", "stack", "pause")
        assert slow.result(timeout=1).status_code == 200
        waiting = visitors.submit(requests.get, page, timeout=30)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=2)
        reload(site)
        assert waiting.result(timeout=10).status_code == 200

        # One that dies meanwhile, as at the time limit: the one in its place pauses, too.
        lost = visitors.submit(requests.get, f"{page}?seconds=20", timeout=30)
        busy = site.stack.wait(
            "a worker is busy", lambda: re.search(r"pid (\d+)\): busy", stats(site)), 10, "app"
        )
        pause = visitors.submit(site.stack.run, "app", "stack", "pause")
        site.stack.wait("the others pause", lambda: stats(site).count(": sig17") == 3, 10, "app")
        site.stack.run("app", "bash", "-c", f"kill -KILL {busy[1]}")
        pause.result(timeout=10)
        assert stats(site).count(": sig17") == 4
        assert lost.result(timeout=1).status_code == 502
        reload(site)
        assert requests.get(page, timeout=10).status_code == 200


def test_watching_reloads_what_works_and_tells_what_does_not(site: Terminal) -> None:
    have_app(site)
    script = pexpect.spawn(
        "scripts/reload",
        ["--watch"],
        cwd=site.directory,
        env=site.environment,
        encoding="utf-8",
        timeout=60,
    )
    script.expect("Watching mysite/")
    try:
        with (site.directory / "mysite" / "mysite" / "urls.py").open("a") as file:
            before = file.tell()
            file.write("\ndef (\n")
        script.expect("the old one goes on: SyntaxError")
        os.truncate(site.directory / "mysite" / "mysite" / "urls.py", before)
        name_release(site.directory, "watched")
        script.expect("Reloading the workers … done")
        assert name(site) == "watched"
    finally:
        script.sendintr()
        script.expect(pexpect.EOF)


def test_watching_is_refused_where_the_code_is_in_the_image(site: Terminal) -> None:
    process = site.run("scripts/reload", "--watch", COMPOSE_FILE="compose.yaml")
    assert refusal(process).startswith("the code is in the image here: add compose/dev.yaml")
