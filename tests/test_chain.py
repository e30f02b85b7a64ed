"""Hop `chain`: one request, one id, seen at every hop in order."""

import uuid
from datetime import datetime

import requests

from tests.support.stack import Stack


def test_one_id_in_the_answer_and_in_every_log(stack: Stack) -> None:
    nonce = uuid.uuid4().hex
    answer = requests.get(f"{stack.url}/{nonce}", timeout=5)  # Django logs what it cannot find
    request_id = answer.headers["X-Request-ID"]

    nginx = stack.log_entry("nginx", request_id)
    django = stack.log_entry("app", request_id)

    assert (nginx["hop"], django["hop"]) == ("nginx", "django")
    assert nginx["uri"] == f"/{nonce}"
    assert django["message"] == f"Not Found: /{nonce}"
    assert nginx["status"] == int(nginx["upstream_status"]) == django["status_code"] == 404


def test_the_times_of_a_request_fit_into_each_other(stack: Stack) -> None:
    answer = requests.get(stack.url, timeout=5)
    entry = stack.log_entry("nginx", answer.headers["X-Request-ID"])
    connect, header, upstream = (
        float(entry[f"upstream_{name}"]) for name in ("connect", "header", "seconds")
    )
    # nginx reads its clock, of milliseconds, at different moments.
    assert 0 <= connect <= header <= upstream <= entry["seconds"] + 0.0015
    assert answer.elapsed.total_seconds() >= entry["seconds"] - 0.001


def test_every_log_is_in_utc(stack: Stack) -> None:
    nonce = uuid.uuid4().hex
    request_id = requests.get(f"{stack.url}/{nonce}", timeout=5).headers["X-Request-ID"]
    times = [
        datetime.fromisoformat(stack.log_entry(service, request_id)["time"])
        for service in ("nginx", "app")
    ]
    assert [time.utcoffset().total_seconds() for time in times] == [0, 0]  # type: ignore[union-attr]
    assert abs((times[0] - times[1]).total_seconds()) < 2


def test_nasty_bytes_do_not_break_a_log_line(stack: Stack) -> None:
    nonce = uuid.uuid4().hex
    agent = '"}\\ \x01\xe9' + nonce
    requests.get(stack.url, headers={"User-Agent": agent.encode("latin-1")}, timeout=5)
    assert stack.log_entry("nginx", nonce)["user_agent"].endswith(nonce)
