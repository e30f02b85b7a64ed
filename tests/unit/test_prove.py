"""dev/prove: every proof is listed, is a test of the suite, and is run each week."""

import re
import subprocess

import pytest
import yaml

from tests.conftest import ROOT

SCRIPT = (ROOT / "dev" / "prove").read_text()
LISTED = re.findall(r"^#   ([a-z-]+)  .*: (\d+) minutes$", SCRIPT, re.MULTILINE)
PROOFS = dict(re.findall(r"^    ([a-z-]+)\) test=(\S+) ;;$", SCRIPT, re.MULTILINE))


def prove(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "dev" / "prove", *arguments], capture_output=True, text=True)


def test_without_a_name_it_lists_all_proofs_and_what_they_take() -> None:
    process = prove()
    assert (process.returncode, process.stderr) == (0, "")
    assert [name for name, _ in LISTED] == list(PROOFS)
    for name in PROOFS:
        assert re.search(rf"^  {name} ", process.stdout, re.MULTILINE)
    assert all(int(minutes) < 60 for _, minutes in LISTED)


def test_an_unknown_name_gets_one_sentence() -> None:
    process = prove("everything")
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == '\ndev/prove: there is no proof "everything": dev/prove lists them.\n'


@pytest.mark.parametrize("name", PROOFS)
def test_a_proof_is_a_test_that_has_a_long_form(name: str) -> None:
    file, _, function = PROOFS[name].partition("::")
    tests = re.split(r"^def (test_\w+)", (ROOT / file).read_text(), flags=re.MULTILINE)[1:]
    whole = [
        test for test, text in zip(tests[::2], tests[1::2], strict=True) if "whole: Whole" in text
    ]
    assert function in whole or (not function and whole)


def test_each_week_all_of_them_are_run_whole() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    job = workflow["jobs"]["prove"]
    assert job["strategy"]["matrix"]["proof"] == list(PROOFS)
    assert job["timeout-minutes"] == 60
    assert "schedule" in job["if"]
