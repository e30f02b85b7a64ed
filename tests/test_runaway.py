"""A page that runs away is ended, and nobody else notices; nor of clients that take their time."""

import socket
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.conftest import ROOT, started
from tests.support import doctor
from tests.support.load import Load
from tests.support.people import create_user, log_in
from tests.support.rush import Rush, table
from tests.support.stack import Stack
from tests.support.whole import Whole
from tests.support.workers import workers

TIMEOUT = 6


@pytest.fixture(scope="module")
def bad_site(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    overlays = "compose.yaml:tests/runaway/compose.yaml"
    stack = make_stack(ROOT, COMPOSE_FILE=overlays, SITE_REQUEST_TIMEOUT=str(TIMEOUT))
    with started(stack, pytestconfig):
        yield stack


@pytest.fixture(scope="module")
def admin(bad_site: Stack) -> requests.Session:
    create_user(bad_site, "admin")
    return log_in(bad_site, "admin")


def fetch(address: str) -> tuple[int, bool]:
    """Return the status of an answer, and whether it was broken off."""
    with requests.get(address, stream=True, timeout=60) as answer:
        try:
            for _ in answer.iter_content(2**20):
                pass
        except requests.exceptions.ChunkedEncodingError:
            return answer.status_code, True
        return answer.status_code, False


@pytest.mark.parametrize("page", ["endless", "leak", "fork", "huge"])
def test_a_page_that_runs_away_harms_nobody_else(
    bad_site: Stack, admin: requests.Session, page: str
) -> None:
    before, began = workers(bad_site), bad_site.container("app").attrs["State"]["StartedAt"]

    def one_is_replaced() -> bool:
        now = workers(bad_site)
        return len(now) == len(before) and len(now - before) == 1

    with Load(bad_site, admin) as load:
        status, broken_off = fetch(f"{bad_site.url}/bad/{page}")
        if page == "huge":  # its worker breaks it off, and goes on
            assert (status, broken_off, workers(bad_site)) == (200, True, before)
        else:
            assert status in (502, 504)
            bad_site.wait("its worker is replaced", one_is_replaced, 30, "app")
    assert load.failed() == []
    assert bad_site.container("app").attrs["State"]["StartedAt"] == began


def test_slow_clients_hold_no_worker(bad_site: Stack, admin: requests.Session) -> None:
    """Twenty that do not read 4 MB, twenty that send a little of a body, and four workers."""
    host, port = bad_site.url.removeprefix("http://").split(":")
    head = f"HTTP/1.1\r\nHost: {host}:{port}\r\n"
    asks = [f"GET /bad/big {head}\r\n", f"POST / {head}Content-Length: 1000000\r\n\r\nbegin"]
    clients = [socket.create_connection((host, int(port))) for _ in range(40)]
    try:
        with Load(bad_site, admin) as load:
            for number, client in enumerate(clients):
                client.sendall(asks[number % 2].encode())
            many = len(load.sent) + 100
            bad_site.wait("others were answered", lambda: len(load.sent) > many, 60)
        assert load.failed() == []
    finally:
        for client in clients:
            client.close()


def test_in_a_rush_that_lasts_who_comes_last_is_refused(bad_site: Stack, whole: Whole) -> None:
    """Ten times what the workers can do: some get their page, the others a 503; nobody a 504."""
    rush = Rush(bad_site, 60 if whole else 12)
    print(table(rush))
    assert {status for _, status, _ in rush.answers} == {200, 503}
    assert min(rush.seconds("/static/welcome/landing.css", 503), default=None) is None
    assert "overloaded" in [finding.cause for finding in doctor.walk(bad_site)]
