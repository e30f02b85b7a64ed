"""The doctor knows a failure by its line in nginx's or uWSGI's log, and no line that a visitor wrote."""

import re

import pytest
from whichhop.checks.recent import SIGNS
from whichhop.target import uwsgi_log

TIME = "2026/11/29 10:00:00 [error] 7#7: *3 "
UWSGI = "Sun Nov 29 10:00:00 2026 - "

LINES = {
    f"{TIME}upstream sent too big header while reading response": "response-header-too-big",
    f'{TIME}open() "/var/cache/nginx/1/0000000001" failed (13: Permission denied)': "nginx-temp-unwritable",
    f"{TIME}client intended to send too large body: 9 bytes": "body-too-large",
    f"{TIME}client sent too long URI while reading": "request-header-too-large",
    f"{TIME}connect() to unix:/run/a.sock failed (11: Resource temporarily": "socket-queue-full",
    f"{TIME}upstream timed out (110: x) while reading response header": "page-too-slow",
    '192.0.2.1 - - [29/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 499 0': "client-gave-up",
    '{"time":"x","hop":"nginx","a":1,"status":499,"b":2}': "client-gave-up",
    f'{UWSGI}*** uWSGI listen queue of socket "x" (fd: 3) full !!!': "upstream-queue-full",
    "*** HARAKIRI ON WORKER 1 (pid: 9, try: 1)": "harakiri",
    "!!! uWSGI process 9 got Segmentation Fault !!!": "worker-crashed",
    "DAMN ! worker 1 (pid: 9) died, killed by signal 11 :( trying respawn": "worker-crashed",
    "DAMN ! worker 1 (pid: 9) died :( trying respawn": "worker-crashed",
    "DAMN ! worker 1 (pid: 9) died, killed by signal 9 :( trying": "worker-killed",
    "invalid request block size: 40000 (max 4096)...skip": "request-block-too-big",
    "Invalid (too big) CONTENT_LENGTH. skip.": "uwsgi-post-limit",
}


def named(line: str) -> set[str]:
    told = (uwsgi_log.beginning({}), ["/var/cache/nginx"])
    return {sign.cause for sign in SIGNS if re.search(sign.regex(*told), line)}


@pytest.mark.parametrize("line", LINES)
def test_a_line_has_one_cause(line: str) -> None:
    assert named(line) == {LINES[line]}


@pytest.mark.parametrize("line", LINES)
def test_what_a_visitor_put_into_a_log_is_no_failure(line: str) -> None:
    quoted = line.replace('"', '\\"')
    assert named(f'192.0.2.1 - - [x] "GET /{quoted} HTTP/1.1" 200 0') == set()
    assert named(f'{TIME}open() "/srv/{line}" failed (2: No such file or directory)') == set()


def test_http_on_the_sockets_port_harms_nobody() -> None:
    assert named("invalid request block size: 21573 (max 4096)...skip") == set()
