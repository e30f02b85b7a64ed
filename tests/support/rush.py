"""
An overload: ten times as many visitors as the workers can serve, and what each of them gets.

The page takes half a second, so four workers serve eight visitors per second. At the same time, another
visitor keeps requesting a static file.
"""

import statistics
import sys
import threading
import time

import requests

from tests.support.polling import poll
from tests.support.stack import Stack

CAPACITY = 8  # answers per second: tests/runaway/urls.py
VISITORS, EVERY = (
    160,
    2.0,
)  # each sends a request every two seconds, or as soon as it has its answer

# What was requested, the status of the answer (0: none), and how many seconds it took.
Answer = tuple[str, int, float]


class Rush:
    """Visitors who keep sending requests for some seconds; ``answers`` has what they got."""

    def __init__(self, stack: Stack, seconds: float) -> None:
        self.url = stack.url
        self.end = time.monotonic() + seconds
        self.answers: list[Answer] = []
        threads = [
            threading.Thread(
                target=self._visit, args=("/bad/slow", EVERY, number * EVERY / VISITORS)
            )
            for number in range(VISITORS)
        ]
        threads.append(
            threading.Thread(target=self._visit, args=("/static/welcome/landing.css", 0.1))
        )
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.recovery = self._recover()

    def _ask(self, path: str) -> Answer:
        began, status = time.monotonic(), 0
        try:
            status = requests.get(self.url + path, timeout=60).status_code
        except requests.RequestException as error:
            print(error, file=sys.stderr)
        return path, status, time.monotonic() - began

    def _visit(self, path: str, every: float, first: float = 0) -> None:
        time.sleep(first)
        while time.monotonic() < self.end:
            answer = self._ask(path)
            self.answers.append(answer)
            time.sleep(max(0, every - answer[2]))

    def _recover(self) -> float:
        """Return the seconds from the last answer until a page is served at normal speed."""
        began = time.monotonic()

        def fast() -> float | None:
            _, status, seconds = self._ask("/bad/slow")
            return seconds if status == 200 and seconds < 1 else None

        seconds = poll("the site recovers", fast, 60)
        return time.monotonic() - began - seconds

    def seconds(self, path: str, *statuses: int) -> list[float]:
        """Return how many seconds the answers with these statuses took; without any, those of all statuses."""
        return [
            took
            for asked, status, took in self.answers
            if asked == path and (status in statuses or not statuses)
        ]


def table(rush: Rush) -> str:
    """Return the result as a table for docs/operations.md."""
    page, static = "/bad/slow", "/static/welcome/landing.css"
    kinds = {
        "page, answered": rush.seconds(page, 200),
        "page, refused with 503": rush.seconds(page, 503),
        "page, anything else": [
            took
            for asked, status, took in rush.answers
            if asked == page and status not in (200, 503)
        ],
        "static file": rush.seconds(static, 200),
    }
    lines = ["| request | number | median | worst |", "|---|---|---|---|"]
    for kind, times in kinds.items():
        median, worst = (f"{of(times):.2f} s" if times else "" for of in (statistics.median, max))
        lines.append(f"| {kind} | {len(times)} | {median} | {worst} |")
    return "\n".join([*lines, "", f"Recovered after {rush.recovery:.1f} s."])
