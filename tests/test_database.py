"""Hop `database`: migrated, safe with several workers, and there again after the containers are not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from hops.stack import Stack
from tests.people import create_user, log_in, png, upload

PDF = ("report.pdf", b"%PDF-1.4 private", "application/pdf")


def test_no_migration_is_missing(stack: Stack) -> None:
    assert "[ ]" not in stack.manage("showmigrations", "--plan")
    stack.manage("makemigrations", "--check", "--dry-run")


def test_sqlite_is_tuned_for_several_workers(stack: Stack) -> None:
    pragmas = stack.manage(
        "shell",
        "--verbosity=0",
        "--command",
        "from django.db import connection\n"
        "cursor = connection.cursor()\n"
        "for name in ('journal_mode', 'synchronous', 'busy_timeout', 'foreign_keys'):\n"
        "    print(name, *cursor.execute(f'PRAGMA {name}').fetchone())",
    ).split("\n")
    assert pragmas[:4] == [
        "journal_mode wal",
        "synchronous 2",
        "busy_timeout 20000",
        "foreign_keys 1",
    ]


def test_concurrent_writers_wait_for_each_other(stack: Stack) -> None:
    """Logging in writes a session; many at a time on four workers, none sees a locked database."""
    create_user(stack, "busy")
    with ThreadPoolExecutor(10) as people:
        sessions = list(people.map(lambda _: log_in(stack, "busy"), range(12)))
    assert len({session.cookies["sessionid"] for session in sessions}) == 12


def test_data_survives_when_the_containers_are_made_anew(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    create_user(stack, "keeper")
    keeper = log_in(stack, "keeper")
    picture = png(5_000)
    links = upload(stack, keeper, "kept", ("kept.png", picture, "image/png"), PDF)
    secret = "/srv/data/secret_key"
    before = stack.run("app", "sha256sum", secret), stack.container("app").id
    assert stack.run("app", "stat", "--format", "%a %u:%g %s", secret) == "600 10001:10100 67\n"

    stack.down()
    stack.up("--no-build")

    assert stack.run("app", "sha256sum", secret) == before[0]
    assert stack.container("app").id != before[1]
    assert requests.get(stack.url + links["image"], timeout=5).content == picture
    # The session cookie still counts: the row is in the database, signed with the same key.
    assert keeper.get(stack.url + links["attachment"], timeout=5).content == PDF[1]
