"""The doctor reads uWSGI's options where uWSGI takes them from, and speaks its protocol."""

from pathlib import Path

import pytest
from whichhop.probes import site as inside
from whichhop.probes import uwsgi_protocol


def options(command: list[str], workdir: Path) -> dict[str, list[str]]:
    """Return the options of a process that has no command line of its own any more."""
    return inside.uwsgi_options(2**22 + 1, command, str(workdir))  # more than pid_max


@pytest.fixture(autouse=True)
def _no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UWSGI_MODULE", "UWSGI_INI", "PWD"):
        monkeypatch.delenv(name, raising=False)


def test_options_of_the_command_line(tmp_path: Path) -> None:
    command = (
        "/usr/bin/python3 /venv/bin/uwsgi -s :1 --chmod-socket=660 --master --module a.wsgi -p 4"
    )
    assert options(command.split(), tmp_path) == {
        "socket": [":1"],
        "chmod-socket": ["660"],
        "master": [""],
        "module": ["a.wsgi"],
        "processes": ["4"],
        "ini": [],
    }


def test_options_of_an_ini_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.ini").write_text(
        "[other]\nsocket = no\n[uwsgi]\n; a = comment\n# so = is this\nbase = /srv\n"
        "socket = %(base)/%n.sock\nenv = A=b\nenv = C=d\nchdir = %d\nworkers = $(COUNT)\n"
        "max_requests = 5\nunknown = %(nowhere)\n"
    )
    monkeypatch.setenv("COUNT", "3")
    found = options(["uwsgi", "--ini", "site.ini:uwsgi"], tmp_path)
    assert found["ini"] == [str(tmp_path / "site.ini")]
    assert found["socket"] == ["/srv/site.sock"]
    assert found["env"] == ["A=b", "C=d"]
    assert found["chdir"] == [f"{tmp_path}/"]
    assert found["workers"] == ["3"]
    assert found["max-requests"] == ["5"]
    assert found["unknown"] == ["%(nowhere)"]  # as uWSGI leaves it


def test_options_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UWSGI_MODULE", "b.wsgi")
    assert options(["uwsgi"], tmp_path)["module"] == ["b.wsgi"]


def test_a_packet_is_what_the_protocol_says() -> None:
    assert uwsgi_protocol.packet({}, uwsgi_protocol.PING) == b"\x64\0\0\0"
    assert uwsgi_protocol.packet({"A": "é"}) == b"\0\x07\0\0\x01\0A\x02\0\xc3\xa9"
