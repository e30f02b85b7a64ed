"""The doctor reads /proc as the kernel writes it: who runs, and what may they do?"""

import pytest
from whichhop.target.processes import Identity, masters, parse, workers

OUTPUT = """\
Process: 1
Name:\tpython3
PPid:\t0
Uid:\t0\t10001\t0\t0
Gid:\t0\t10100\t0\t0
Groups:\t10100 4242
Program: /usr/bin/python3.13
Directory: /app
Command: /venv/bin/python /venv/bin/uwsgi --ini /uwsgi/a: b.ini \n
Process: 12
Name:\tuwsgi
PPid:\t1
Uid:\t10001\t10001\t0\t0
Gid:\t10100\t10100\t0\t0
Groups:\t
Program: /usr/bin/python3.13
Directory: /app
Command: uwsgi worker \n
Process: 7
"""


def test_the_effective_identity_counts_and_what_ended_meanwhile_is_left_out() -> None:
    first, second = parse(OUTPUT)
    assert (first.pid, first.parent, first.directory) == (1, 0, "/app")
    assert first.identity == Identity(10001, 10100, frozenset({10100, 4242}))
    assert first.command == "/venv/bin/python /venv/bin/uwsgi --ini /uwsgi/a: b.ini"
    assert second.identity.groups == frozenset()


def test_uwsgi_is_told_also_where_the_kernel_only_knows_python() -> None:
    found = parse(OUTPUT)
    assert [process.name for process in found] == ["uwsgi", "uwsgi"]
    (master,) = masters(found, "uwsgi")
    assert master.pid == 1
    assert [worker.pid for worker in workers(found, master)] == [12]


@pytest.mark.parametrize(
    ("who", "right", "mode", "may"),
    [
        ((10, 20, ()), "r", 0o400, True),  # the owner
        ((10, 20, ()), "r", 0o044, False),  # the owner is no other
        ((11, 20, ()), "w", 0o660, True),  # the group
        ((11, 21, (20,)), "w", 0o660, True),  # one of the other groups
        ((11, 21, ()), "w", 0o660, False),
        ((11, 21, ()), "x", 0o001, True),
        ((0, 0, ()), "w", 0o000, True),  # root
        ((0, 0, ()), "x", 0o600, False),  # who runs nothing that nobody may run
    ],
)
def test_rights_are_those_that_the_kernel_gives(
    who: tuple[int, int, tuple[int, ...]], right: str, mode: int, may: bool
) -> None:
    uid, gid, groups = who
    assert Identity(uid, gid, frozenset(groups)).may(right, mode, 10, 20) is may
