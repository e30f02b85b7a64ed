"""What the doctor takes for a line of nginx's or uWSGI's own, and what it lets through to a reader."""

import json
import re
from xml.etree import ElementTree

import pytest
from whichhop import report
from whichhop.finding import ok
from whichhop.target import nginx_log, uwsgi_log

HEAD = "2026/11/29 23:44:37 [error] 29#29: *7 "
TAIL = ', client: 192.0.2.1, server: shop, request: "GET / HTTP/1.1", host: "shop"'
MISSING = f'{HEAD}open() "/srv/static/x'
FULL = (
    f"{HEAD}connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable)"
    f' while connecting to upstream{TAIL}, upstream: "uwsgi://unix:/run/app.sock:"'
)
NOT_FOUND = '" failed (2: No such file or directory)'


def believed(*lines: str, apart: float = 0, cut: bool = False) -> list[str]:
    return nginx_log.believed([(1 + n * apart, line) for n, line in enumerate(lines)], cut)


def test_what_nginx_says_is_believed() -> None:
    assert believed(FULL, FULL) == [FULL, FULL]
    referred = f'{FULL}, referrer: "http://shop/"'
    assert believed(referred, FULL) == [referred, FULL]
    assert believed("2026/11/29 23:44:37 [notice] 1#1: start worker processes", FULL)[-1] == FULL


@pytest.mark.parametrize(
    "record",
    [
        [MISSING, FULL, NOT_FOUND + TAIL],
        [MISSING + NOT_FOUND + TAIL, FULL, MISSING + NOT_FOUND + TAIL],  # each line looks whole
        [MISSING, FULL, FULL, FULL],  # cut off by nginx, where the client wished
        [f'{HEAD}user "x', FULL, f'" was not found in "/etc/passwords"{TAIL}'],
        [f'{HEAD}upstream timed out{TAIL}, upstream: "http://10.0.0.1/x', FULL],
    ],
)
def test_a_clients_line_is_not_believed(record: list[str]) -> None:
    assert FULL not in believed(*record)
    assert FULL not in believed(*record[1:], cut=True)


def test_doubt_ends_with_the_longest_record_and_with_time() -> None:
    filler = "2026/11/29 23:44:37 [notice] 1#1: " + "x" * 1000
    record = [MISSING + NOT_FOUND + TAIL]
    assert believed(*record, filler, FULL)[-1] != FULL
    assert believed(*record, filler, filler, FULL)[-1] == FULL
    assert believed(*record, FULL, apart=1.5)[-1] == FULL


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "DAMN !"),
        ({}, "Sun Nov  9 23:44:37 2026 - DAMN !"),
        ({"logdate": [""]}, "Sun Nov 29 23:44:37 2026 - DAMN !"),
        ({"log-date": ["%Y-%m-%dT%H:%M:%S%z"]}, "2026-11-29T23:44:37+0000 - DAMN !"),
        ({"log-prefix": ["the shop (%-d. %b)"]}, "the shop (9. März) - DAMN !"),
        ({"logdate": ["%c | "]}, "So 29 Nov 2026 23:44:37 UTC |  - DAMN !"),
        ({"log-encoder": ["prefix [app] "]}, "[app] Sun Nov 29 23:44:37 2026 - DAMN !"),
        (
            {"log-date": ["%F %T"], "log-encoder": ['json {"t":${unix},"m":"${msg}"}', "nl"]},
            '{"t":1795995877,"m":"2026-11-29 23:44:37 - DAMN !"}',
        ),
        (
            {"log-encoder": ["format:x ${strftime:%T} ${msgnl}", "prefix > "]},
            "> 23:44:37 Sun Nov 29 23:44:37 2026 - DAMN !",
        ),
    ],
)
def test_every_form_of_uwsgis_lines(options: dict[str, list[str]], line: str) -> None:
    beginning = uwsgi_log.beginning(options)
    assert re.search(f"{beginning}DAMN !", line)
    assert not re.search(f"{beginning}DAMN !", f"Not Found: /x - {line}")


def test_no_control_character_reaches_a_reader() -> None:
    finding = ok("port", "a\x1b[31m\u202e\nb\x9b", "one\ntwo\x00\tthree")
    assert finding.evidence == ("one", r"two\x00 three")
    texts = [report.line(finding, False), report.as_json([finding]), report.as_junit([finding])]
    assert finding.summary == r"a\x1b[31m\u202e\nb\x9b"
    assert all(not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text) for text in texts)
    assert json.loads(texts[1])[0]["summary"] == finding.summary
    ElementTree.fromstring(texts[2])  # noqa: S314 # our own
