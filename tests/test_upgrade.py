"""
The volumes of an earlier release, under this one.

tests/volumes/5e63d6c.tar.gz is what the stack of that commit left on its volumes `data` and `media`, after
somebody had logged in and uploaded two files; only the end of that session was then moved to 2199. It is
the oldest commit whose database has a way to this one: the sample app's first migration changed until then.
"""

from collections.abc import Callable

import pytest
import requests

from tests.conftest import ROOT, discard
from tests.support.people import PASSWORD, command, is_logged_in, png, submit, upload
from tests.support.stack import Stack

VOLUMES = ROOT / "tests" / "volumes" / "5e63d6c.tar.gz"
SESSION = "9xlie2o1cmv5iko8v7v41gfdorf8zpmt"


def test_the_volumes_of_an_earlier_release_are_served_by_this_one(
    make_stack: Callable[..., Stack], pytestconfig: pytest.Config
) -> None:
    stack = make_stack()
    unpack = "tar --extract --gzip --preserve-permissions --directory /srv"
    run = f"docker compose run --rm --no-deps --no-TTY init {unpack}"
    try:
        with VOLUMES.open("rb") as volumes:
            process = command(stack, *run.split(), stdin=volumes)
        assert process.returncode == 0, process.stderr
        stack.up("--no-build")

        veteran = requests.Session()
        veteran.cookies["sessionid"] = SESSION
        assert is_logged_in(stack, veteran)
        assert requests.get(f"{stack.url}/media/images/café.png", timeout=5).content == png(3_000)
        assert (
            veteran.get(f"{stack.url}/files/attachments/report.txt", timeout=5).content
            == b"an old report"
        )
        again = {"username": "veteran", "password": PASSWORD}
        assert submit(stack, requests.Session(), "/admin/login/", again).status_code == 302
        upload(stack, veteran, "from after", ("new.png", png(), "image/png"))
    finally:
        discard(stack, pytestconfig)
