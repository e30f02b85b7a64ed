"""The tests wait with a deadline, and say what they were waiting for. (With a container: test_polling.py.)"""

import time

import pytest

from tests.support.polling import poll


def test_what_was_waited_for_is_returned() -> None:
    answers = iter([0, "", "there"])
    assert poll("it is there", lambda: next(answers), 5) == "there"


def test_what_is_too_early_is_asked_again_and_told_in_the_end() -> None:
    def refused() -> None:
        raise ConnectionRefusedError("nobody listens")

    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"^it is up: not within 0\.3 s: nobody listens"):
        poll("it is up", refused, 0.3)
    assert 0.3 <= time.monotonic() - began < 1


def test_a_mistake_is_not_waited_for() -> None:
    def mistake() -> None:
        raise KeyError("typo")

    with pytest.raises(KeyError):
        poll("it is up", mistake, 5)
