"""What CONTRIBUTING.md tells a newcomer to type is there, and so is what the suite begins with."""

import re

from tests.conftest import LONGEST, ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
COMMANDS = re.findall(r"`((?:scripts|dev)/[^`]+)`", TEXT)


def test_every_command_and_every_file_of_tests_exists() -> None:
    assert len(COMMANDS) > 10
    for command in COMMANDS:
        script, *words = command.split()
        assert (ROOT / script).is_file(), command
        for word in words:
            assert not word.startswith("tests/") or (ROOT / word).exists(), command


def test_every_proof_that_is_named_is_one() -> None:
    script = (ROOT / "dev" / "prove").read_text()
    named = [command.split()[1] for command in COMMANDS if command.startswith("dev/prove ")]
    assert named
    for name in named:
        assert f"\n    {name}) test=" in script, name


def test_the_files_that_take_longest_are_files_of_the_suite() -> None:
    for name in LONGEST:
        assert (ROOT / "tests" / f"test_{name}.py").is_file(), name
