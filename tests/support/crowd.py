"""Threads that run for as long as a ``with`` block."""

import threading
from collections.abc import Sequence
from typing import Self


class Crowd:
    """Runs ``threads``, which must check ``stop``: they start with the block and are stopped at its end."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.threads: Sequence[threading.Thread] = ()

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
