"""The causes that the doctor can name: each once, in one registry, and each with a way on."""

import pytest
from whichhop.causes import BLACKBOX, CAUSES, table
from whichhop.finding import HOPS, Cause, Causes, Verdict, command, merge
from whichhop.target.declaration import Declaration
from whichhop.target.stack import StackError

from tests.conftest import ROOT


def test_no_cause_is_there_twice() -> None:
    other = Causes({"socket-mode": Cause("socket", "", "", command(""))})
    with pytest.raises(ValueError, match="more than one module has the cause socket-mode"):
        merge(CAUSES, other)
    assert table().count("| `tls-certificate-expired` |") == 1  # which the blackbox knows, too


def test_each_cause_has_a_hop_and_a_fix_of_a_kind() -> None:
    for cause in (*CAUSES.values(), *BLACKBOX.values()):
        assert cause.hop in HOPS
        assert cause.fix.kind in ("command", "config", "by hand")
        assert cause.fix.text
        assert cause.symptom


def test_the_docs_are_made_of_the_registry() -> None:
    assert (ROOT / "docs/causes.md").read_text() == table()


class Site:
    """A subject with words and a fix of its own."""

    words = {"nginx": "web"}
    fixes = {"nginx-paused": "wake {nginx}"}


def test_a_finding_says_what_the_project_declares() -> None:
    paused = CAUSES.broken(Site(), "nginx-paused")
    assert (paused.verdict, paused.fix, paused.fix_kind) == (Verdict.BROKEN, "wake web", "by hand")
    missing = CAUSES.warning(Site(), "stack-not-started")
    assert missing.verdict is Verdict.WARNING
    assert missing.summary.endswith("the service web has no container.")
    assert (missing.fix, missing.fix_kind) == ("docker compose up --build --wait", "command")


def test_overlays_add_to_what_a_project_declares() -> None:
    declared = Declaration.of(
        {
            "services": {},
            "x-whichhop": {"request-id": "X-Id", "words": {"ini": "a", "migrate": "b $$c"}},
            "x-whichhop-emperor": {"words": {"ini": "d"}},
        }
    )
    assert declared.request_id == "X-Id"
    assert declared.words == {"ini": "d", "migrate": "b $c"}
    assert Declaration.of({}) == Declaration()


@pytest.mark.parametrize("wrong", [{"fixs": {}}, {"words": "x"}, {"request-id": ["X-Id"]}])
def test_a_declaration_that_is_not_understood_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(StackError, match=r"x-whichhop in the Compose file: .* is not understood"):
        Declaration.of({"x-whichhop": wrong})
