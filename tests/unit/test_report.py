"""What the doctor prints: for a terminal, as JSON and as JUnit XML."""

import json
from xml.etree import ElementTree

import pytest
from whichhop import report
from whichhop.finding import HOPS, Finding, Verdict, blocked, ok, unknown

BROKEN = Finding(
    "socket", Verdict.BROKEN, "nginx may not connect.", "socket-mode", ("srw------- <&>",), "chmod"
)
LATER = Finding("database", Verdict.BROKEN, "It is locked.", "database-locked", (), "wait")
WORTH_KNOWING = Finding(
    "uwsgi", Verdict.WARNING, "A stop reloads.", "stop-reloads", (), "add a line", "config"
)
HEALTHY = [ok(hop, f"{hop} works") for hop in HOPS]


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        (HEALTHY, 0),
        ([*HEALTHY, WORTH_KNOWING], 0),
        ([*HEALTHY, unknown("django", "no answer in time")], 2),
        ([*HEALTHY, blocked("django", "socket")], 2),
        ([blocked("uwsgi", "socket"), unknown("django", "?"), BROKEN], 1),
    ],
    ids=["healthy", "advice", "could not tell", "blocked", "broken"],
)
def test_what_could_not_be_told_never_passes(findings: list[Finding], status: int) -> None:
    assert report.exit_status(findings) == status


def test_a_warning_counts_for_who_is_strict() -> None:
    assert report.exit_status([*HEALTHY, WORTH_KNOWING], strict=True) == 1
    assert report.exit_status(HEALTHY, strict=True) == 0
    assert report.exit_status([unknown("chain", "?")], strict=True) == 2


def test_the_first_broken_hop_comes_with_what_was_seen_and_what_to_do() -> None:
    lines = report.summary([ok("port", "leads"), BROKEN, LATER]).splitlines()
    assert lines[0] == "The first broken hop is: socket (socket-mode)"
    assert "  nginx may not connect." in lines
    assert "    srw------- <&>" in lines
    assert "  To do: chmod" in lines
    assert lines[-1].startswith("Also broken: database (database-locked).")


def test_a_healthy_chain_is_one_line() -> None:
    assert report.summary(HEALTHY) == "All 10 hops work (0.0 s)."
    assert report.summary(HEALTHY[:2]) == "Works: port, tls (0.0 s)."


def test_what_could_not_be_judged_is_not_called_healthy() -> None:
    text = report.summary([*HEALTHY[:9], unknown("chain", "?")])
    assert text == "Nothing is known to be broken, but this could not be judged: chain."


def test_advice_stands_below_what_works() -> None:
    text = report.summary([*HEALTHY, WORTH_KNOWING])
    assert text.startswith("All 10 hops work")
    assert "uwsgi (stop-reloads): A stop reloads.\n    To do: add a line" in text


def test_colour_only_when_asked_for() -> None:
    assert "\x1b" not in report.line(BROKEN, False)
    assert report.line(BROKEN, True) == f"\x1b[31m{report.line(BROKEN, False)}\x1b[0m"


def test_each_verdict_has_a_sign_of_its_own() -> None:
    findings = [HEALTHY[0], BROKEN, blocked("django", "x"), unknown("django", "x"), WORTH_KNOWING]
    assert len({report.line(finding, False)[0] for finding in findings}) == len(findings)


def test_json_has_everything_in_the_order_of_the_chain() -> None:
    first, second = json.loads(report.as_json([HEALTHY[0], BROKEN]))
    assert first["hop"] == "port"
    assert second == {
        "hop": "socket",
        "verdict": "broken",
        "summary": "nginx may not connect.",
        "cause": "socket-mode",
        "evidence": ["srw------- <&>"],
        "fix": "chmod",
        "fix_kind": "",
        "seconds": 0,
        "site": "",
    }


def test_junit_has_a_case_for_each_hop_and_no_error_passes() -> None:
    other = Finding("django", Verdict.UNKNOWN, "no answer", site="blog.example")
    text = report.as_junit([HEALTHY[0], BROKEN, other])
    suite = ElementTree.fromstring(text)  # noqa: S314 (ours)
    assert suite.attrib | {"name": ""} == {"name": "", "tests": "3", "failures": "1", "errors": "1"}
    cases = list(suite)
    assert [case.get("classname") for case in cases] == ["port", "socket", "blog.example.django"]
    assert [[child.tag for child in case] for case in cases] == [
        ["system-out"],
        ["failure", "system-out"],
        ["error", "system-out"],
    ]
    assert cases[1].findtext("system-out") == "nginx may not connect.\nsrw------- <&>\nchmod"
