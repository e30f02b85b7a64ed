"""scripts/deploy: a new release without a dropped request; one that is no good changes nothing."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT, copy_project, discard, image_names
from tests.support.releases import add_app, name_release
from tests.support.stack import Stack
from tests.support.terminal import Terminal, refusal
from tests.support.visitors import Load
from tests.support.whole import Whole

CHECKED = r"  Checking the new app … done \(\d+ s\)\n  Checking the new nginx … done \(\d+ s\)\n"


class Site(Terminal):
    """A site that is being served from a clone, whose owner deploys."""

    def deploy(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("scripts/deploy", *options)

    def deploys(self, *options: str) -> str:
        """Deploy; return what was said, and fail when it did not work."""
        process = self.deploy(*options)
        assert process.returncode == 0, process.stderr
        return process.stderr

    def release(self) -> str:
        """Return the name of the release that serves, as a visitor gets it."""
        answer = requests.get(f"{self.stack.url}/release/name", timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.text

    def all(self) -> dict[str, list[str]]:
        """Return the containers, networks, volumes and named images of the project."""
        label: dict[str, str | list[str] | bool] = {
            "label": f"com.docker.compose.project={self.stack.project}"
        }
        engine = self.stack.engine
        found = {
            "containers": [
                f"{each.name} {each.id} {each.status}"
                for each in engine.containers.list(all=True, filters=label, ignore_removed=True)
            ],
            "volumes": [each.name for each in engine.volumes.list(filters=label)],
            "images": [
                f"{name} {id}"
                for name, id in image_names().items()
                if name.startswith(f"{self.stack.project}-")
            ],
            "dangling": engine.api.images(quiet=True, filters=label | {"dangling": True}),
        }
        return {kind: sorted(names) for kind, names in found.items()}


@pytest.fixture(scope="module")
def site(
    make_stack: Callable[..., Stack],
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Site]:
    """A site of this module's own, with the app of tests/release."""
    directory = copy_project(tmp_path_factory.mktemp("deploy"))
    (directory.parent / "tools").mkdir()
    add_app(directory)
    name_release(directory, "first")
    stack = make_stack(directory=directory)
    site = Site(stack, directory.parent / "tools")
    try:
        process = site.run("scripts/up")
        assert process.returncode == 0, process.stderr
        yield site
    finally:
        discard(Stack(ROOT, stack.project, stack.variables), pytestconfig)


@pytest.fixture
def code(site: Site) -> Iterator[Path]:
    """The site's code, which is put back after the test."""
    names = ("mysite", "nginx", "stack", "uwsgi")
    for name in names:
        shutil.copytree(site.directory / name, site.tools / "before" / name)
    yield site.directory
    for name in names:
        shutil.rmtree(site.directory / name)
        shutil.move(site.tools / "before" / name, site.directory / name)
    shutil.rmtree(site.tools / "before")


def ids(site: Site) -> dict[str, str]:
    return {name: id for name, id in site.containers().items() if name != "init"}


def test_a_deploy_and_its_rollback_serve_the_right_release_and_alarm_no_doctor(site: Site) -> None:
    """One way through all of it, with a doctor who looks all the while."""
    (site.directory / ".venv").unlink(missing_ok=True)
    (site.directory / ".venv").symlink_to(ROOT / ".venv")
    alarms: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            process = site.run("scripts/doctor")
            if process.returncode:
                alarms.append(process.stdout + process.stderr)

    doctor = threading.Thread(target=look)
    doctor.start()
    try:
        before = ids(site)
        name_release(site.directory, "second")
        assert re.fullmatch(
            r"  Building the images … done \(\d+ s\)\n"
            + CHECKED
            + r"  Running init … done \(\d+ s\)\n"
            r"  Waiting until the new app answers and takes over … done \(\d+ s\)\n"
            r"  Giving nginx its configuration … done \(\d+ s\)\n"
            r"  Letting the old app finish … done \(\d+ s\)\n"
            r"The new release serves. To go back: scripts/deploy --rollback\n",
            site.deploys(),
        )
        assert site.release() == "second"
        after = ids(site)
        assert after["nginx"] == before["nginx"]
        assert after["app"] != before["app"]

        said = site.deploys("--rollback")
        assert "  Going back to the release built at " in said
        assert site.release() == "first"
        site.deploys("--rollback")
        assert site.release() == "second"
    finally:
        over.set()
        doctor.join()
    assert alarms == []

    # Everything else goes on to work, and finds nothing to do.
    serving = ids(site)
    assert "Nothing has changed" in site.deploys()
    for command in (["docker", "compose", "up", "--wait"], ["scripts/up"]):
        process = site.run(*command)
        assert process.returncode == 0, process.stderr
        assert ids(site) == serving
    assert site.stack.run("app", "ls", "/run/uwsgi").split() == [
        f"{serving['app'][:12]}.sock",
        "mysite.sock",
    ]


def append(name: str, text: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        with (directory / name).open("a") as file:
            file.write(f"\n{text}\n")

    return change


def migration(directory: Path) -> None:
    (directory / "mysite" / "release" / "migrations" / "0002_bad.py").write_text(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        '    dependencies = [("release", "0001_initial")]\n'
        '    operations = [migrations.RunSQL("NONSENSE")]\n'
    )


BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "does not build": (
        append("mysite/mysite/urls.py", "def ("),
        "the images could not be built: the lines above say why.",
        "SyntaxError",
    ),
    "half of it does not build": (
        append("nginx/../Dockerfile.nginx", "RUN exit 7"),
        "the images could not be built: the lines above say why.",
        "exit code: 7",
    ),
    "cannot be imported": (
        append("mysite/mysite/wsgi.py", "import not_installed"),
        "the new release does not pass its checks: ModuleNotFoundError: No module named 'not_installed'.",
        "wsgi.py",
    ),
    "misspelt option of uWSGI": (
        append("uwsgi/mysite.ini", "thread = 4"),
        "the new release does not pass its checks: [strict-mode] unknown config directive: thread.",
        "",
    ),
    "misspelt directive of nginx": (
        append("nginx/limits.conf", "sendfiles on;"),
        'unknown directive "sendfiles" in nginx/limits.conf:',
        "",
    ),
    "has a model without its migration": (
        append("mysite/release/models.py", "class New(models.Model): pass"),
        "models have changed without a migration in release:"
        ' run "manage.py makemigrations release", and add what it writes.',
        "",
    ),
    "does not migrate": (migration, 'init: near "NONSENSE"', ""),
    "does not boot": (
        append(  # in uWSGI only, and not where the code is checked
            "mysite/mysite/wsgi.py",
            "if 'mysite.ini' in open('/proc/self/cmdline').read(): raise RuntimeError('no boot')",
        ),
        "the new app does not answer: the lines above, from its log, say why.",
        "no boot",
    ),
    "boots, and is not ready": (
        append("stack/health.py", "CHECKS = {'media': lambda: 1 / 0}"),
        "the new app does not answer: the lines above, from its log, say why.",
        "division by zero",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_release_that_is_no_good_changes_nothing(site: Site, code: Path, case: str) -> None:
    change, sentence, shown = BAD[case]
    release = site.release()
    before = site.all()
    dockerfile = (code / "Dockerfile.nginx").read_text()
    name_release(code, "bad")
    (code / "mysite" / "welcome" / "static" / "robots.txt").write_text("of the bad release\n")
    change(code)
    address = f"{site.stack.url}/release/name"
    seen = set()
    try:
        with ThreadPoolExecutor() as owner:
            deploy = owner.submit(site.deploy, "--timeout", "6")
            while not deploy.done():
                seen.add(requests.get(address, timeout=30).text)
                time.sleep(0.05)
        process = deploy.result()
    finally:
        (code / "Dockerfile.nginx").write_text(dockerfile)
    assert seen == {release}
    said = refusal(process)
    assert sentence in said
    assert said.endswith("The old release goes on.")
    assert shown in process.stderr, process.stderr
    assert site.release() == release
    assert site.all() == before
    robots = requests.get(f"{site.stack.url}/robots.txt", timeout=5)
    assert "bad" not in robots.text


# What a deploy says when it is about to do something, from the beginning to the end.
MOMENTS = [
    "Checking the new app",
    "Waiting until",
    "Giving nginx its configuration",
    "Letting the old app finish",
]


def interrupted(
    site: Site, moment: str, number: signal.Signals, reads: bool = True
) -> tuple[int, str]:
    """Begin a deploy, end all its processes when it says something; return its status, and what it said."""
    process = subprocess.Popen(
        ["scripts/deploy"],
        cwd=site.directory,
        env=site.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        start_new_session=True,
    )
    assert process.stderr
    said = ""
    while moment not in said:
        letter = process.stderr.read(1)
        assert letter, said
        said += letter
    os.killpg(process.pid, number)
    if reads:
        said += process.stderr.read()
    process.stderr.close()
    return process.wait(), said


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_deploy_that_was_killed_is_finished_by_the_next(site: Site, moment: str) -> None:
    """As when the power goes, for all that the script can notice."""
    release = f"killed {moment}"
    before = site.release()
    name_release(site.directory, release)
    interrupted(site, moment, signal.SIGKILL)
    assert site.release() in (before, release)
    said = site.deploys()
    assert site.release() == release
    assert list(ids(site)) == ["app", "nginx"]
    assert len([each for each in site.all()["containers"] if "-app-" in each]) == 1
    if moment == MOMENTS[-1]:
        assert "Removing what an interrupted deploy left" in said
        site.deploys("--rollback")
        assert site.release() == before


@pytest.mark.parametrize("reads", [True, False])
def test_a_deploy_that_is_interrupted_leaves_the_old_release(site: Site, reads: bool) -> None:
    """Also when nobody is there any more to read what it says: the terminal was closed."""
    before, all_before = site.release(), site.all()
    name_release(site.directory, "interrupted")
    status, said = interrupted(site, "Waiting until", signal.SIGINT, reads)
    assert status == 1
    if reads:
        assert said.endswith("scripts/deploy: it was interrupted. The old release goes on.\n")
    assert site.release() == before
    assert site.all() == all_before


def test_no_two_scripts_change_the_stack_at_once(site: Site) -> None:
    """Whatever they are to do. Another project in the same folder is another stack."""
    before = site.all()
    lock = f"/tmp/compose-{site.stack.project}.lock"
    with subprocess.Popen(
        ["flock", lock, "sh", "-c", "echo; read x"],
        cwd=site.directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdout
        first.stdout.read(1)
        for script in ("deploy", "up", "reload", "rotate-secret-key", "restore compose.yaml"):
            name, *arguments = script.split()
            assert refusal(site.run(f"scripts/{name}", *arguments)) == (
                "another script is changing this stack at the moment:"
                " wait until it has ended, then run this again."
            )
        other = f"{site.stack.project}-other"
        assert (
            "changing this stack"
            not in site.run("scripts/reload", COMPOSE_PROJECT_NAME=other).stderr
        )
        first.communicate(b"\n")
    assert site.all() == before


def test_a_changed_setting_reaches_nginx_by_a_reload_where_that_is_enough(site: Site) -> None:
    """What nginx is told has changed: it reloads. How it is started has: it is replaced."""

    def takes(megabytes: int) -> bool:
        body = b"x" * megabytes * 1_000_000
        answer = requests.post(f"{site.stack.url}/release/hit", data=body, timeout=10)
        return answer.status_code != 413

    before = ids(site)
    assert takes(2)
    site.edit(".env", "SITE_MAX_UPLOAD_MB=1")
    try:
        assert refusal(site.run("scripts/reload")).endswith("use scripts/deploy.")
        assert "Replacing nginx" not in site.deploys()
        assert not takes(2)
        after = ids(site)
        assert after["nginx"] == before["nginx"]
        assert after["app"] != before["app"]
        assert site.run("docker", "compose", "up", "--wait").returncode == 0
        assert ids(site) == after

        site.edit(".env", "SITE_REQUEST_TIMEOUT=31")  # how long Docker waits for a stop, too
        assert "  Replacing nginx … done" in site.deploys()
        assert ids(site)["nginx"] != after["nginx"]
        assert not takes(2)

        # The address is not this machine's, so the new one cannot start: the old one does, as it was.
        (site.directory / ".env").write_text("SITE_BIND=192.0.2.1\nSITE_MAX_UPLOAD_MB=3\n")
        said = refusal(site.deploy())
        assert "the new nginx does not work" in said
        assert site.release()
        assert not takes(2)
        assert site.stack.exec("nginx", "true").code == 0
    finally:
        (site.directory / ".env").unlink(missing_ok=True)
    site.deploys()


@pytest.fixture
def overlay(site: Site) -> Iterator[Callable[[str], None]]:
    """Return a function that gives the site more services; their containers are gone after the test."""

    def write(services: str) -> None:
        (site.directory / "more.yaml").write_text(f"services:\n{services}")

    # Not in .env, which the containers get, too.
    site.environment["COMPOSE_FILE"] = "compose.yaml:more.yaml"
    yield write
    del site.environment["COMPOSE_FILE"]
    (site.directory / "more.yaml").unlink()
    process = site.run("docker", "compose", "up", "--wait", "--remove-orphans")
    assert process.returncode == 0, process.stderr


SERVICE = """
    image: ${COMPOSE_PROJECT_NAME}-app
    pull_policy: never
    network_mode: none
    restart: always
    stop_grace_period: 1s
"""
DATABASE = f"""
  database:{SERVICE}
    command: [bash, -c, "touch /tmp/there; sleep infinity & wait"]
    healthcheck: {{ test: [CMD, test, -e, /tmp/there], start_period: 9s, start_interval: 200ms }}
  init:
    depends_on: {{ database: {{ condition: service_healthy }} }}
"""


@pytest.mark.parametrize("script", ["deploy", "up"])
def test_a_database_added_to_a_running_site_is_started_before_the_jobs(
    site: Site, overlay: Callable[[str], None], script: str
) -> None:
    """The jobs before a start need it, so it is started before them."""
    before = ids(site)
    overlay(DATABASE)
    process = site.run(f"scripts/{script}")
    assert process.returncode == 0, process.stderr
    assert re.search(r"  Starting database … done .*\n(.*\n)*.*(Running|Preparing)", process.stderr)
    assert site.stack.container("database").attrs["State"]["Health"]["Status"] == "healthy"
    if script == "deploy":
        assert ids(site) == before


def test_a_service_that_dies_makes_the_old_release_go_on(
    site: Site, code: Path, overlay: Callable[[str], None]
) -> None:
    """Each service must run, or else the old release goes on, with all that it had."""
    worker = f"  worker:{SERVICE}    command: [python, work.py]\n"
    overlay(worker)
    (code / "mysite" / "work.py").write_text("import signal\nsignal.pause()\n")
    site.deploys()
    assert site.stack.container("worker").status == "running"
    before, release = site.all(), site.release()

    name_release(code, "bad")
    (code / "mysite" / "work.py").write_text("import time\ntime.sleep(2)\nimport nowhere\n")
    process = site.deploy()
    assert refusal(process) == (
        "worker does not run as it should: the lines above, from its log, say why."
        " The old release goes on."
    )
    assert "ModuleNotFoundError: No module named 'nowhere'" in process.stderr
    assert site.release() == release
    assert site.all() == before

    # Nor may one that was added do so, and nothing is left of it.
    (code / "mysite" / "work.py").write_text("import signal\nsignal.pause()  # as well\n")
    overlay(f"{worker}  another:{SERVICE}    command: ['false']\n")
    assert refusal(site.deploy()).startswith("another does not run as it should")
    assert site.all() == before


def test_a_service_with_a_name_of_its_own_is_replaced_last(
    site: Site, overlay: Callable[[str], None]
) -> None:
    """There is no second container of that name, and so no way back."""
    named = (
        f"  named:{SERVICE}    container_name: {site.stack.project}-named\n    command: [sleep, "
    )
    overlay(f'{named} "1000"]\n')
    site.deploys()
    first = site.stack.container("named")
    assert first.name == f"{site.stack.project}-named"
    overlay(f'{named} "nowhere"]\n')
    process = site.deploy()
    assert refusal(process).startswith(
        "the new release serves, but named does not run as it should"
    )
    assert "invalid time interval" in process.stderr
    overlay(f'{named} "2000"]\n')
    assert "The new release serves" in site.deploys()
    assert site.stack.container("named").attrs["Args"] == ["2000"]


def test_what_changes_no_container_replaces_none(
    site: Site, overlay: Callable[[str], None]
) -> None:
    """Compose's own hash is another, as after an upgrade of Compose, which writes labels of its own."""
    before = ids(site)
    overlay("  nginx:\n    labels: { com.docker.compose.another: version }\n")
    hashes = site.run("docker", "compose", "config", "--hash", "nginx").stdout
    assert hashes.split()[1] not in before["nginx"]
    assert "Nothing has changed" in site.deploys()
    assert ids(site) == before


def test_a_stop_finishes_what_is_being_answered(site: Site) -> None:
    """What is being answered is finished first, and nothing is left behind."""
    for services in (["app"], []):
        with ThreadPoolExecutor() as visitor:
            slow = visitor.submit(
                requests.get, f"{site.stack.url}/release/name?seconds=3", timeout=30
            )
            site.stack.wait(
                "the request is being answered",
                lambda: "/release/name" in str(site.stack.uwsgi("stats", "/tmp/stats.sock", 5)),
                10,
                "app",
            )
            site.stack.compose("stop", *services)
            assert slow.result().status_code == 200
        for service in services or ["app", "nginx"]:
            assert site.stack.container(service).attrs["State"]["ExitCode"] == 0
        assert site.run("docker", "compose", "up", "--wait").returncode == 0
    sockets = site.stack.run("app", "ls", "/run/uwsgi").split()
    assert sockets == [f"{ids(site)['app'][:12]}.sock", "mysite.sock"]
    assert site.stack.run("app", "ls", "/srv/media/tmp") == ""
    assert site.stack.run("nginx", "find", "/var/cache/nginx", "-type", "f") == ""


def test_a_deploy_is_refused_where_no_site_runs(site: Site) -> None:
    site.run("docker", "compose", "stop", "app")
    try:
        assert refusal(site.deploy()) == (
            "no site is running that could be replaced: start it with scripts/up."
        )
    finally:
        site.run("docker", "compose", "up", "--wait")


def test_a_rollback_is_refused_where_there_was_no_release_before(site: Site) -> None:
    for name in ("app", "nginx"):
        site.run("docker", "image", "rm", f"{site.stack.project}-{name}:previous")
    assert refusal(site.deploy("--rollback")) == (
        "there is no release before this one to go back to. The old release goes on."
    )


def gap(site: Site, change: Callable[[], object]) -> tuple[int, float]:
    """Return how many of many short visits failed during a change, and the seconds without an answer."""
    address = f"{site.stack.url}/static/welcome/logo.svg"
    answered = [time.monotonic()]
    failed = 0
    with ThreadPoolExecutor() as owner:
        work = owner.submit(change)
        while not work.done():
            try:
                requests.get(address, timeout=5)
                answered.append(time.monotonic())
            except requests.RequestException:
                failed += 1
            time.sleep(0.005)
        work.result()
    return failed, max(later - sooner for sooner, later in itertools.pairwise(answered))


def test_no_visitor_notices_deploys_reloads_and_rollbacks(
    site: Site, code: Path, whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty-two visitors, through everything that may happen to a site; none of them notices."""
    rounds = 10 if whole else 2
    done: Counter[str] = Counter()
    name_release(code, "good")
    site.deploys()
    reload = (site.directory / "scripts" / "reload").exists()
    began = time.monotonic()
    with Load(site.stack.url) as load:
        for number in range(rounds):
            name_release(code, f"release {number}")
            append("nginx/limits.conf", f"# release {number}")(code)
            site.deploys()
            done["deploys"] += 1
            if reload and (whole or number == 0):
                process = site.run("scripts/reload")
                assert process.returncode == 0, process.stderr
                done["reloads"] += 1
            if number % 3 == 1:
                site.deploys("--rollback")
                done["rollbacks"] += 1
                health = code / "stack" / "health.py"
                text = health.read_text()
                append("stack/health.py", "CHECKS = {'media': lambda: 1 / 0}")(code)
                refusal(site.deploy("--timeout", "5"))
                health.write_text(text)
                done["failing deploys"] += 1
    show = "from release.models import Hit; print(*Hit.objects.values_list('name', flat=True))"
    stored = Counter(site.stack.manage("shell", "--verbosity", "0", "--command", show).split())
    duplicated = sorted(name for name, count in stored.items() if count > 1)
    lost = sorted(set(load.counted) - set(stored))
    with capsys.disabled():
        print(f"\n\n{', '.join(f'{count} {what}' for what, count in done.items())}")
        print(f"in {time.monotonic() - began:.0f} s, under {len(load.threads)} visitors:")
        print(load.table())
        print(
            f"POSTs acknowledged: {len(load.counted)}, lost: {len(lost)}, duplicated: {len(duplicated)}"
        )
        if whole:
            dockerfile = (code / "Dockerfile.nginx").read_text()
            for what, name, text in (
                ("configuration", "nginx/limits.conf", "# changed"),
                ("image", "Dockerfile.nginx", "LABEL changed=yes"),
            ):
                append(name, text)(code)
                failed, seconds = gap(site, site.deploys)
                print(
                    f"a changed {what} of nginx, nobody else there: {seconds:.2f} s, {failed} visits refused"
                )
            (code / "Dockerfile.nginx").write_text(dockerfile)
    log = site.stack.logs("nginx").splitlines()
    assert load.failures == [], "\n".join(line for line in log if "upstream:" in line)[-3000:]
    assert (lost, duplicated) == ([], [])
    assert sorted(stored) == sorted(load.counted)
