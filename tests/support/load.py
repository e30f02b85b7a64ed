"""Constant load while a test does something to the stack: what visitors sent, and what they got."""

import copy
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import requests

from tests.support.crowd import Crowd
from tests.support.people import png, submit
from tests.support.polling import poll
from tests.support.stack import Stack


class Sent(NamedTuple):
    """A request: its kind, when it was sent (monotonic clock, in seconds), and its status (0: no answer)."""

    kind: str
    began: float
    seconds: float
    status: int

    @property
    def failed(self) -> bool:
        """Whether the visitor did not get the expected answer."""
        return not 200 <= self.status < 400


class Load(Crowd):
    """
    Visitors who read pages and static files or upload, for as long as the ``with`` block runs. They use
    the cookies of ``person``, who may use the admin.

    Afterwards, ``sent`` has every request, and ``acknowledged`` the titles of the uploads that the
    site acknowledged.
    """

    def __init__(
        self, stack: Stack, person: requests.Session, readers: int = 2, writers: int = 2
    ) -> None:
        super().__init__()
        self.sent: list[Sent] = []
        self.acknowledged: list[str] = []
        self._stack = stack
        work = [self._read] * readers + [self._write] * writers
        self.threads = [
            threading.Thread(target=act, args=(number, copy.deepcopy(person)))
            for number, act in enumerate(work)
        ]

    def failed(self) -> list[Sent]:
        """Return the requests that failed."""
        return [sent for sent in self.sent if sent.failed]

    def wait_for_calm(self, seconds: float) -> None:
        """Wait until no request has failed for two seconds; raise ``AssertionError`` as ``poll`` does."""
        began = time.monotonic()

        def calm() -> bool:
            ends = (sent.began + sent.seconds for sent in self.failed())
            return time.monotonic() > max([began, *ends]) + 2

        try:
            poll("no request fails any more", calm, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}{self.failed()[-5:]}") from None

    def _do(self, kind: str, ask: Callable[[], int]) -> int:
        began, status = time.monotonic(), 0
        try:
            status = ask()
        except requests.RequestException:
            time.sleep(0.05)  # avoid a flood of connections that nobody accepts
        self.sent.append(Sent(kind, began, time.monotonic() - began, status))
        return status

    def _read(self, _number: int, person: requests.Session) -> None:
        addresses = {"page": "/", "static": "/static/welcome/landing.css"}
        while not self.stop.is_set():
            for kind, path in addresses.items():
                self._do(kind, partial(self._get, person, path))
                self.stop.wait(0.02)  # a pause, so that the stack gets most of the machine's time

    def _get(self, person: requests.Session, path: str) -> int:
        return person.get(self._stack.url + path, timeout=10).status_code

    def _write(self, number: int, person: requests.Session) -> None:
        count = 0
        while not self.stop.is_set():
            title = f"{number}-{(count := count + 1)}"

            def send(title: str = title) -> int:
                picture = {"image": (f"{title}.png", png(), "image/png")}
                path, fields = "/admin/welcome/upload/add/", {"title": title}
                try:
                    return submit(self._stack, person, path, fields, picture).status_code
                except AssertionError:  # no form: the page was not served
                    return 0

            if self._do("upload", send) == 302:
                self.acknowledged.append(title)
