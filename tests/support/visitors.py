"""Visitors who send requests without a pause and record every answer."""

import hashlib
import itertools
import statistics
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import requests

from tests.support.crowd import Crowd

FILE = b"x" * 300_000  # large enough that nginx, uWSGI and Django each buffer it on disk


class Answer(NamedTuple):
    """What a visitor requested, how many seconds it took, and what was wrong (empty: nothing)."""

    kind: str
    seconds: float
    problem: str


class Load(Crowd):
    """
    Twenty-two visitors of a site with the app of tests/release.

    Eleven request a page, six send a POST that must be counted exactly once, three upload a file, two request
    a page that takes five seconds. They do so for as long as the ``with`` block runs.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.answers: list[Answer] = []
        self.counted: list[str] = []  # the POSTs that succeeded
        self._numbers = itertools.count()
        kinds = (self._page, 11), (self._hit, 6), (self._upload, 3), (self._slow, 2)
        self.threads = [
            threading.Thread(target=self._visit, args=(ask,))
            for ask, count in kinds
            for _ in range(count)
        ]

    def _visit(self, ask: Callable[[requests.Session], None]) -> None:
        visitor = requests.Session()
        visitor.trust_env = False
        # A new connection for each request: on a reload, nginx closes idle ones, perhaps just when a request
        # is sent; browsers then send it again (RFC 9112, section 9.3.1).
        visitor.headers["Connection"] = "close"
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                ask(visitor)
                problem = ""
            except (requests.RequestException, AssertionError) as error:
                problem = f"{type(error).__name__}: {error}"
            seconds = time.monotonic() - began
            self.answers.append(Answer(ask.__name__.strip("_"), seconds, problem))
            self.stop.wait(0.05)

    def _answer(self, response: requests.Response, expected: str = "") -> None:
        assert response.status_code == 200, f"{response.status_code} from {response.url}"
        assert not expected or response.text == expected, f"{response.text[:99]!r} for {expected!r}"

    def _page(self, visitor: requests.Session) -> None:
        self._answer(visitor.get(f"{self.url}/", timeout=60))

    def _slow(self, visitor: requests.Session) -> None:
        self._answer(visitor.get(f"{self.url}/release/name?seconds=5", timeout=60))

    def _hit(self, visitor: requests.Session) -> None:
        name = str(next(self._numbers))
        self._answer(visitor.post(f"{self.url}/release/hit", data={"name": name}, timeout=60), name)
        self.counted.append(name)

    def _upload(self, visitor: requests.Session) -> None:
        answer = visitor.post(f"{self.url}/release/upload", files={"file": FILE}, timeout=60)
        self._answer(answer, hashlib.sha256(FILE).hexdigest())

    @property
    def failures(self) -> list[Answer]:
        """Return the answers that were wrong."""
        return [answer for answer in self.answers if answer.problem]

    def table(self) -> str:
        """Return a table of the number of requests of each kind and their latencies in seconds."""
        lines = [f"{'request':<8} {'sent':>7} {'failed':>7} {'median s':>9} {'worst s':>8}"]
        for kind in ("page", "hit", "upload", "slow"):
            answers = [answer for answer in self.answers if answer.kind == kind]
            seconds = [answer.seconds for answer in answers]
            failed = sum(bool(answer.problem) for answer in answers)
            lines.append(
                f"{kind:<8} {len(answers):>7} {failed:>7}"
                f" {statistics.median(seconds):>9.3f} {max(seconds):>8.3f}"
            )
        return "\n".join(lines)
