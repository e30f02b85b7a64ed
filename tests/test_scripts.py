"""The scripts a person types: each does what it says, or says in one sentence why it cannot. (--help: tests/unit.)"""

import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT, discard
from tests.support.stack import Stack
from tests.support.terminal import Terminal, refusal

SOCKET = Path("/run/docker.sock")
NO_ENGINE = "unix:///nonexistent.sock"
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "--chdir=/mnt")

# A mount namespace shows a script another machine (no engine, another distribution), and nobody else.
other_machine = pytest.mark.skipif(
    os.geteuid() != 0
    or not SOCKET.is_socket()
    or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0,
    reason="needs root, mount namespaces and an engine at /run/docker.sock",
)


@pytest.fixture
def terminal(
    make_stack: Callable[..., Stack],
    project_copy: Path,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> Iterator[Terminal]:
    (tmp_path / "tools").mkdir()
    stack = make_stack(directory=project_copy)
    terminal = Terminal(stack, tmp_path / "tools")
    # No test installs a package or starts an engine on this machine, whatever a script tries.
    terminal.fake("dockerd", "echo 'failed to start daemon: no cgroups' >&2; exit 1")
    terminal.fake(
        "apt-get",
        "[ \"$1\" = indextargets ] || { echo 'E: Temporary failure resolving' >&2; exit 100; }",
    )
    yield terminal
    if terminal.volumes():  # Compose makes them first
        # From the project itself: the test may have broken the copy.
        discard(Stack(ROOT, stack.project, stack.variables), pytestconfig)


def other_view(mounts: Mapping[str, Path]) -> tuple[str, ...]:
    """Return what to put before a command so that it sees other files in the place of some."""
    script = "".join(
        f"mount --bind {shlex.quote(str(source))} {target} && " for target, source in mounts.items()
    )
    return ("unshare", "--mount", "sh", "-c", script + 'exec "$@"', "sh")


@pytest.fixture
def stopped_engine(tmp_path: Path) -> dict[str, Path]:
    """What the machine looks like when the engine is not running: its socket is there, but dead."""
    (tmp_path / "log").mkdir()
    os.mknod(tmp_path / "docker.sock", stat.S_IFSOCK)
    (tmp_path / "docker.sock").chmod(0o666)
    # The log of the real engine is not a test's to write.
    return {str(SOCKET): tmp_path / "docker.sock", "/var/log": tmp_path / "log"}


# -- up and down


def test_up_starts_the_site_and_down_deletes_nothing_unasked(terminal: Terminal) -> None:
    """One stack through all of it, since starting one takes longer than each part."""
    port = terminal.stack.variables["SITE_PORT"]

    def page() -> int:
        return requests.get(f"http://localhost:{port}", timeout=5).status_code

    # From nothing.
    process = terminal.run("scripts/up")
    assert process.returncode == 0, process.stderr
    assert f"The site is up: http://localhost:{port}\n" in process.stdout
    assert f"http://localhost:{port}/admin/\n" in process.stdout
    assert re.fullmatch(
        r"  Building the images … done \(\d+ s\)\n"
        r"  Starting init, app and nginx … done \(\d+ s\)\n",
        process.stderr,
    )
    assert page() == 200

    # Again, at a terminal: nothing is made anew.
    before = terminal.containers()
    assert sorted(before) == ["app", "init", "nginx"]
    command = ("script", "--quiet", "--return", "--command", "scripts/up", "/dev/null")
    process = terminal.run(*command)
    assert process.returncode == 0, process.stdout
    assert f"\nThe site is up: http://localhost:{port}\n" in process.stdout
    assert terminal.containers() == before

    # A setting that init refuses: the site goes on as it was.
    before = terminal.containers()
    terminal.edit(".env", "SITE_WORKERS=many")
    assert refusal(terminal.run("scripts/up")) == (
        "init refuses the change, and the site goes on as it was:"
        " init: SITE_WORKERS is wrong: 'many' is not a whole number from 1 to 24."
    )
    (terminal.directory / ".env").unlink()
    assert terminal.containers() == before
    assert page() == 200

    # On all addresses: the port is taken, but by ourselves.
    process = terminal.run("scripts/up", SITE_BIND="0.0.0.0")
    assert process.returncode == 0, process.stderr
    assert page() == 200

    # Data is deleted only for a clear yes.
    before, volumes = terminal.containers(), terminal.volumes()
    assert len(volumes) == 7  # six, and the mark of the folder
    for answer in ("no\n", "y\n", "\n", ""):
        process = terminal.run("scripts/down", "--volumes", answer=answer)
        assert "deletes the database, all uploads and the secret key" in process.stderr
        assert refusal(process).startswith("nothing was stopped or deleted")
    assert terminal.containers() == before
    assert page() == 200

    process = terminal.run("scripts/down")
    assert process.returncode == 0, process.stderr
    assert terminal.containers() == {}
    assert terminal.volumes() == volumes

    # Nothing to stop is not an error.
    assert terminal.run("scripts/down").returncode == 0

    process = terminal.run("scripts/down", "--volumes", answer="yes\n")
    assert process.returncode == 0, process.stderr
    assert terminal.volumes() == set()


def test_a_second_folder_with_the_name_of_a_site_is_refused(
    terminal: Terminal, tmp_path: Path
) -> None:
    """The second gets nothing of the first, running or stopped; a folder that was moved goes on, once told so."""
    here = terminal.directory
    copy = tmp_path / "copy" / here.name
    shutil.copytree(here, copy)

    def works(*command: str) -> None:
        process = terminal.run(*command, cwd=terminal.directory)
        assert process.returncode == 0, process.stderr

    def refused(folder: Path, *owner: str) -> None:
        (folder / "a.tar.gz").touch()
        for command in ("up", "deploy", "reload", "backup", "restore a.tar.gz", "down", "down --volumes"):  # fmt: skip
            name, *rest = command.split()
            said = refusal(terminal.run(f"scripts/{name}", *rest, cwd=folder, answer="yes\n"))
            assert said == (
                f"the name {terminal.stack.project} is that of the site in {owner[0]}:"
                " give this one a name of its own with COMPOSE_PROJECT_NAME=… in .env;"
                " or, if it is that site, and its folder was moved, run scripts/up --moved, once."
            )

    works("scripts/up")
    mark = terminal.stack.engine.volumes.get(f"{terminal.stack.project}-folder")
    mark.remove()  # as with a site that an older release started
    before = terminal.containers()
    refused(copy, str(here))
    assert terminal.containers() == before
    works("scripts/down")
    refused(copy, str(here))
    link = tmp_path / "link"
    link.symlink_to(here)
    works("env", f"--chdir={link}", "scripts/up")

    terminal.directory = here.with_name("moved")
    here.rename(terminal.directory)
    refused(terminal.directory, str(here))
    works("scripts/up", "--moved")
    works("scripts/up")
    refused(copy, str(terminal.directory))

    process = terminal.run("scripts/down", "--volumes", answer="yes\n")
    assert process.returncode == 0, process.stderr
    assert terminal.volumes() == set()
    process = terminal.run("scripts/backup", cwd=copy)
    assert refusal(process).startswith("there is nothing to back up")


# -- up, when it cannot


def test_up_names_a_port_that_is_taken(terminal: Terminal) -> None:
    port = terminal.stack.variables["SITE_PORT"]
    with socket.create_server(("127.0.0.1", int(port))):
        sentence = refusal(terminal.run("scripts/up"))
    assert sentence == (
        f"port {port} on 127.0.0.1 is already taken by another program:"
        " stop that, or choose another with SITE_PORT=… in .env."
    )
    assert terminal.containers() == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("SITE_BIND=everywhere", "Invalid ip address: everywhere"),
        ("SITE_PORT=http", "Invalid hostPort: http"),
        ("SITE WORKERS=4", "key cannot contain a space"),
    ],
)
def test_up_says_which_setting_compose_refuses(terminal: Terminal, line: str, reason: str) -> None:
    if line.startswith("SITE_PORT"):
        del terminal.environment["SITE_PORT"]
    terminal.edit(".env", line)
    sentence = refusal(terminal.run("scripts/up"))
    assert sentence.startswith("compose.yaml does not work with these settings: ")
    assert reason in sentence


def test_up_refuses_a_misspelt_setting_in_the_environment(terminal: Terminal) -> None:
    sentence = refusal(terminal.run("scripts/up", SITE_WORKER="3"))
    assert sentence == (
        "the environment has SITE_WORKER, which is not a setting; .env.example lists them all."
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "SITE_WORKER=3",
            "SITE_WORKER is not a setting: did you mean SITE_WORKERS? .env.example lists them all.",
        ),
        ("SITE_DEBUG=maybe", "SITE_DEBUG is wrong: 'maybe' is neither true nor false."),
    ],
)
def test_up_says_which_setting_init_refuses(terminal: Terminal, line: str, reason: str) -> None:
    terminal.edit(".env", line)
    process = terminal.run("scripts/up")
    assert refusal(process) == (
        f'the service "init" failed, so the site was not started: init: {reason}'
    )
    assert f"\n    | init: {reason}\n" in process.stderr


def test_up_shows_the_error_in_a_dockerfile(terminal: Terminal) -> None:
    terminal.edit("Dockerfile.app", "RUNN true")
    process = terminal.run("scripts/up")
    assert refusal(process) == "the images could not be built: the lines above say why."
    assert "unknown instruction: RUNN" in process.stderr


def test_up_refuses_a_package_that_is_not_the_locked_one(terminal: Terminal) -> None:
    requirements = terminal.directory / "mysite" / "requirements.txt"
    requirements.write_text(re.sub(r"sha256:.{8}", "sha256:00000000", requirements.read_text()))
    process = terminal.run("scripts/up")
    assert refusal(process) == "the images could not be built: the lines above say why."
    assert "Hash mismatch" in process.stderr


def test_up_shows_where_a_site_does_not_compile(terminal: Terminal) -> None:
    terminal.edit("mysite/mysite/urls.py", "def (")
    process = terminal.run("scripts/up")
    assert refusal(process) == "the images could not be built: the lines above say why."
    assert 'File "/app/mysite/urls.py"' in process.stderr
    assert "SyntaxError" in process.stderr


def test_up_shows_where_a_site_fails_its_checks(terminal: Terminal) -> None:
    terminal.edit("mysite/mysite/urls.py", "import not_installed")
    process = terminal.run("scripts/up")
    assert refusal(process) == (
        'the service "init" failed, so the site was not started:'
        " ModuleNotFoundError: No module named 'not_installed'"
    )
    assert '    |   File "/app/mysite/urls.py"' in process.stderr


def test_up_shows_why_a_site_does_not_start(terminal: Terminal) -> None:
    """init has nothing against it; uWSGI cannot load it, again and again."""
    terminal.edit("mysite/mysite/wsgi.py", "raise RuntimeError('broken on purpose')")
    process = terminal.run("scripts/up")
    assert re.fullmatch(
        r'the service "app" did not become healthy \([a-z0-9, ]+\):'
        " the lines above, from its log, say why.",
        refusal(process),
    )
    assert "    | RuntimeError: broken on purpose\n" in process.stderr


def test_up_notices_a_page_that_fails_where_all_parts_are_healthy(terminal: Terminal) -> None:
    """All parts are healthy; only a visitor notices."""
    broken = "def landing(request): raise RuntimeError('broken on purpose')"
    terminal.edit("mysite/welcome/views.py", broken)
    process = terminal.run("scripts/up")
    assert refusal(process) == (
        "the services are healthy, but the page is not there (answer: 500):"
        " the lines above, from the logs of app and nginx, say why."
    )
    assert "RuntimeError: broken on purpose" in process.stderr
    assert '"status":500' in process.stderr


def test_up_refuses_a_disk_that_is_too_full_to_build(terminal: Terminal) -> None:
    terminal.fake("df", "echo Avail; echo 1500M")
    sentence = refusal(terminal.run("scripts/up"))
    assert sentence.startswith("only 1500 MB are free where Docker keeps its images")


def test_up_goes_on_where_the_space_cannot_be_measured(terminal: Terminal) -> None:
    """The engine's folder is on another machine (DOCKER_HOST) or in a virtual one: go on."""
    terminal.fake("df", "echo 'df: /var/lib/docker: No such file or directory' >&2; exit 1")
    terminal.edit("Dockerfile.app", "RUNN true")
    assert refusal(terminal.run("scripts/up")).startswith("the images could not be built")


# -- the base image, where no registry answers

NO_REGISTRY = """
    "image inspect "*) echo "Error: No such image" >&2; exit 1 ;;
    "pull "*) echo "Error: dial tcp: lookup registry.example: no such host" >&2; exit 1 ;;
    "import "*) echo "must not happen" >&2; exit 1
"""


def test_up_says_what_to_do_without_a_registry_and_mmdebstrap(terminal: Terminal) -> None:
    terminal.fake_docker(NO_REGISTRY)
    terminal.uninstall("mmdebstrap")
    process = terminal.run("scripts/up", "--no-install")
    assert "Pulling it … no registry answers (Error: dial tcp: lookup" in process.stderr
    assert re.match(
        "no image registry answers, and .* pull debian:trixie-slim on a machine that can, and"
        ' bring it here with "docker save" and "docker load".',
        refusal(process),
    )


def test_up_says_so_without_a_registry_and_a_debian_archive(terminal: Terminal) -> None:
    terminal.fake_docker(NO_REGISTRY)
    terminal.fake("mmdebstrap", "echo 'E: Could not resolve host' >&2; exit 25")
    process = terminal.run("scripts/up")
    assert refusal(process) == (
        "the base image could not be made from the Debian archive: the lines above say why."
    )
    assert "    | E: Could not resolve host\n" in process.stderr


@other_machine
def test_up_says_so_without_a_registry_and_package_lists(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    view = other_view({"/etc/os-release": tmp_path / "os-release"})
    terminal.fake_docker(NO_REGISTRY)
    terminal.uninstall("mmdebstrap")
    process = terminal.run(*view, "scripts/up")
    assert refusal(process) == (
        "the package lists could not be read: check the network and /etc/apt, then run this again."
    )
    assert "    | E: Temporary failure resolving\n" in process.stderr


# -- the engine


@pytest.mark.parametrize("script", ["up", "test"])
def test_a_docker_host_that_does_not_answer_is_named(terminal: Terminal, script: str) -> None:
    assert refusal(terminal.run(f"scripts/{script}", DOCKER_HOST=NO_ENGINE)) == (
        f"no Docker engine answers at DOCKER_HOST={NO_ENGINE}: start it, or unset DOCKER_HOST."
    )


def test_down_says_that_nothing_was_stopped_without_an_engine(terminal: Terminal) -> None:
    sentence = refusal(terminal.run("scripts/down", "--volumes", DOCKER_HOST=NO_ENGINE))
    assert sentence.startswith("no Docker engine answers, so nothing was stopped: ")
    assert NO_ENGINE in sentence


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ('"version --format "*) echo 1.41; exit', "the Docker engine is too old (API 1.41, "),
        ('"compose version "*) echo v2.20.3; exit', "Docker Compose is too old (v2.20.3, "),
        ('"compose "*) echo "docker: unknown command" >&2; exit 1', "there is no Docker engine "),
    ],
    ids=["engine", "Compose", "no Compose"],
)
def test_up_refuses_an_engine_that_is_too_old(terminal: Terminal, case: str, reason: str) -> None:
    """Compose v1 comes with an engine that is too old, too: that one is not ours to replace."""
    terminal.fake_docker(case)
    sentence = refusal(terminal.run("scripts/up", "--no-install"))
    assert sentence.startswith(reason)
    assert "install Docker Engine 25 or later with its Compose plugin" in sentence


@other_machine
def test_up_says_how_one_may_use_the_engine(terminal: Terminal) -> None:
    """As the user nobody, who cannot reach pytest's folder: the clone is also seen at /mnt."""
    terminal.environment["HOME"] = "/nonexistent"
    view = other_view({"/mnt": terminal.directory})
    assert refusal(terminal.run(*view, *AS_NOBODY, "scripts/up")) == (
        "the Docker engine is running but nobody may not use it:"
        ' run this as root, or add yourself to the group "docker" and log in again.'
    )
    assert "permission denied" in refusal(terminal.run(*view, *AS_NOBODY, "scripts/down"))


@other_machine
@pytest.mark.parametrize("system", ["ID=debian\nVERSION_CODENAME=bookworm", "ID=fedora"])
def test_up_says_who_must_start_a_stopped_engine(
    terminal: Terminal, stopped_engine: dict[str, Path], tmp_path: Path, system: str
) -> None:
    (tmp_path / "os-release").write_text(system)
    view = {**stopped_engine, "/etc/os-release": tmp_path / "os-release"}
    assert refusal(terminal.run(*other_view(view), "scripts/up", "--no-install")) == (
        "the Docker engine is installed but not running, and --no-install was given:"
        " start it, then run this again."
    )
    # What "sudo docker login" leaves in a home is no reason to speak of permissions.
    (terminal.directory / ".docker").mkdir()
    (terminal.directory / ".docker" / "config.json").touch(mode=0o600)
    terminal.environment["HOME"] = "/mnt"
    view["/mnt"] = terminal.directory
    assert refusal(terminal.run(*other_view(view), *AS_NOBODY, "scripts/up")) == (
        "the Docker engine is installed but not running: start it as root, then run this again."
    )


@other_machine
@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd starts the engine here")
def test_up_shows_why_an_engine_does_not_start(
    terminal: Terminal, stopped_engine: dict[str, Path]
) -> None:
    started = time.monotonic()
    process = terminal.run(*other_view(stopped_engine), "scripts/up")
    assert time.monotonic() - started < 10, "it waited for an engine that had given up"
    assert refusal(process) == (
        "the Docker engine does not start: the lines above, from /var/log/dockerd.log, say why."
    )
    assert "    | failed to start daemon: no cgroups\n" in process.stderr


@pytest.fixture
def bare_machine(
    terminal: Terminal, stopped_engine: dict[str, Path], tmp_path: Path
) -> Callable[[str], tuple[str, ...]]:
    """Return a function that gives the view of a machine with no engine, of a distribution."""
    terminal.uninstall("dockerd")
    (tmp_path / "apt").mkdir()
    for folder in ("sources.list.d", "preferences.d"):
        (tmp_path / "apt" / folder).mkdir()

    def view(system: str) -> tuple[str, ...]:
        (tmp_path / "os-release").write_text(system)
        files = {"/etc/os-release": tmp_path / "os-release", "/etc/apt": tmp_path / "apt"}
        return other_view({**stopped_engine, **files})

    return view


@other_machine
@pytest.mark.parametrize(
    ("system", "packages"),
    [
        ("ID=debian\nVERSION_CODENAME=bookworm", "docker.io docker-cli docker-compose"),
        ("ID=debian\nVERSION_CODENAME=trixie", "docker.io docker-cli docker-compose"),
        ("ID=ubuntu\nVERSION_CODENAME=noble", "docker.io docker-compose-v2"),
    ],
    ids=["Debian 12", "Debian 13", "Ubuntu"],
)
def test_up_says_what_it_would_install_and_does_not_unasked(
    terminal: Terminal,
    bare_machine: Callable[[str], tuple[str, ...]],
    tmp_path: Path,
    system: str,
    packages: str,
) -> None:
    """It says what it would do; it does not when told not to, and says so when it cannot."""
    view = bare_machine(system)
    process = terminal.run(*view, "scripts/up", "--no-install")
    assert refusal(process).startswith(
        "there is no Docker engine with Compose v2 here and --no-install was given: install Docker"
    )
    announced = f"These packages of the distribution would be installed: {packages}"
    assert announced in process.stderr
    assert ("Debian 12 has no Compose v2" in process.stderr) == ("bookworm" in system)
    assert not [path for path in (tmp_path / "apt").rglob("*") if path.is_file()]

    terminal.fake("df", "echo Avail; echo 2900M")
    process = terminal.run(*view, "scripts/up")
    assert refusal(process).startswith("only 2900 MB are free under /var/lib")
    assert announced in process.stderr
    terminal.fake("df", "echo Avail; echo 9000M")

    if "bookworm" not in system:
        assert refusal(terminal.run(*view, "scripts/up")).startswith(
            "the package lists could not be read: check the network and /etc/apt"
        )
    assert not [path for path in (tmp_path / "apt").rglob("*") if path.is_file()]


@other_machine
def test_up_names_the_distributions_that_it_knows(
    terminal: Terminal, bare_machine: Callable[[str], tuple[str, ...]]
) -> None:
    assert refusal(terminal.run(*bare_machine("ID=fedora"), "scripts/up")) == (
        "there is no Docker engine with Compose v2 here, and this script can only install one on"
        " Debian 12 or later and on Ubuntu: install Docker Engine 25 or later with its Compose"
        ' plugin (Docker\'s documentation: "Install Docker Engine").'
    )


# -- scripts/install-service


@pytest.fixture
def systemd(terminal: Terminal, tmp_path: Path) -> tuple[str, ...]:
    """The view of a machine whose systemd has no services of ours; ``systemctl`` only takes notes."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here: install Debian's package systemd")
    (tmp_path / "units").mkdir()
    terminal.fake("systemctl", f'echo "$*" >>{tmp_path}/systemctl.log')
    port = terminal.environment.pop("SITE_PORT")
    terminal.edit(".env", f"SITE_PORT={port}")
    return other_view({"/etc/systemd/system": tmp_path / "units"})


@other_machine
def test_a_service_of_the_machine_starts_and_stops_the_site(
    terminal: Terminal, systemd: tuple[str, ...], tmp_path: Path
) -> None:
    """systemd's own checker accepts it, and the commands that it would run start and stop the stack."""
    process = terminal.run(*systemd, "scripts/install-service")
    assert process.returncode == 0, process.stderr
    name = terminal.stack.project
    unit = tmp_path / "units" / f"{name}.service"
    notes = (tmp_path / "systemctl.log").read_text().splitlines()
    assert notes == ["daemon-reload", f"enable --quiet --now {name}.service"]
    verified = terminal.run("systemd-analyze", "verify", unit)
    assert (verified.returncode, verified.stderr) == (0, "")

    said = dict(re.findall(r"^(WorkingDirectory|ExecStart|ExecStop)=(.*)$", unit.read_text(), re.M))
    assert said["WorkingDirectory"] == str(terminal.directory)
    home = {"PATH": "/usr/bin:/bin", "HOME": "/root"}  # systemd hands on no more than that

    def does(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            shlex.split(command),
            cwd=said["WorkingDirectory"],
            env=home,
            capture_output=True,
            text=True,
            check=True,
            timeout=200,
        )

    does(said["ExecStart"])
    assert requests.get(terminal.stack.url, timeout=5).status_code == 200
    does(said["ExecStop"])
    assert terminal.stack.container("app").attrs["State"]["ExitCode"] == 0

    assert terminal.run(*systemd, "scripts/install-service", "--uninstall").returncode == 0
    assert not unit.exists()
    assert refusal(terminal.run(*systemd, "scripts/install-service", "--uninstall")) == (
        f'there is no service "{name}" here, so nothing was taken away.'
    )


@other_machine
def test_a_service_that_could_not_work_is_refused(
    terminal: Terminal, systemd: tuple[str, ...], tmp_path: Path
) -> None:
    def refused() -> str:
        return refusal(terminal.run(*systemd, "scripts/install-service"))

    terminal.environment["SITE_PORT"] = "9000"
    assert refused().startswith("the environment has SITE_PORT, which a service would not see")
    del terminal.environment["SITE_PORT"]
    terminal.fake("systemd-analyze", "echo 'x.service: Unknown key'")
    assert refused().endswith("so nothing was changed: x.service: Unknown key")
    terminal.edit(".env", "SITE_PORT=none")
    assert refused().startswith("compose.yaml does not work with these settings: ")
    assert list((tmp_path / "units").iterdir()) == []
    terminal.uninstall("systemctl")
    assert refused() == (
        "this machine has no systemd: let whatever starts its services run scripts/up at boot."
    )


# -- the harness's own tools


def test_venv_refuses_a_python_that_is_too_old(terminal: Terminal) -> None:
    real = shutil.which("python3")
    terminal.fake("python3", f'exec {real} -c "import sys; sys.version_info = (3, 10, 9); $2"')
    assert refusal(terminal.run("scripts/venv")) == (
        'the doctor and the tests need Python 3.11 or later as "python3": install it, then run this again.'
    )


@pytest.mark.parametrize("script", ["deploy", "reload", "rotate-secret-key", "up"])
def test_a_python_that_is_too_old_is_named(terminal: Terminal, script: str) -> None:
    """scripts/up installs one where it may; here apt-get finds no package lists."""
    terminal.fake("python3", "exit 1")
    options = ["--no-install"] if script == "up" else []
    assert refusal(terminal.run(f"scripts/{script}", *options)) == (
        'this needs Python 3.11 or later as "python3": install it, or let scripts/up do that,'
        " as root on Debian or Ubuntu."
    )
    if script == "up":
        assert refusal(terminal.run("scripts/up")).startswith("the package lists could not be read")


def test_lock_says_that_it_needs_uv(terminal: Terminal) -> None:
    terminal.uninstall("uv")
    assert refusal(terminal.run("scripts/lock")) == (
        'uv is not here: install it with "pip install uv".'
    )
