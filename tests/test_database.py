"""Hop `database`: migrated, safe with several workers, and there again after the containers are not."""

from collections.abc import Callable

import requests

from tests.support.people import create_user, log_in, png, upload
from tests.support.stack import Stack
from tests.support.writers import Tally, check, writing

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


def test_twenty_writers_at_once_lose_nothing_and_see_no_lock(
    new_stack: Callable[..., Stack],
) -> None:
    """
    As many workers as clients, so that all of them write at the same time.

    The admin reads before it writes in the same transaction: without IMMEDIATE that is refused at once
    when another wrote in between. A 500 would be in nginx's log, and fail this test.
    """
    stack = new_stack(SITE_WORKERS="20")
    create_user(stack, "busy")
    tally = Tally()
    with writing(stack, "busy", dict(log_in(stack, "busy").cookies), tally):
        stack.wait("200 writes", lambda: len(tally.groups) + len(tally.uploads) > 200, 120)
    check(stack, tally)
    assert (tally.refused, tally.lost, tally.torn, tally.damaged) == (set(), set(), set(), 0)

    # Read, add one, write: no two of them may read the same number.
    count = """
import django, threading
django.setup()
from django.contrib.auth.models import Group
from django.db import connection, transaction

def add():
    for _ in range(10):
        with transaction.atomic():
            counter = Group.objects.get(pk=pk)
            counter.name = str(int(counter.name) + 1)
            counter.save()
    connection.close()

pk = Group.objects.create(name="0").pk
threads = [threading.Thread(target=add) for _ in range(20)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(Group.objects.get(pk=pk).name)
"""
    assert stack.run("app", "python3", "-c", count) == "200\n"


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
