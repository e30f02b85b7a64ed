"""The command by which a container of the site is asked for something."""

import importlib.util
import re
import subprocess
import sys

import pytest

from stack.__main__ import PROGRAMS
from tests.conftest import ROOT

COMMAND = ROOT / "stack" / "__main__.py"


@pytest.mark.parametrize("word", PROGRAMS)
def test_each_word_runs_a_module_that_there_is(word: str) -> None:
    module, *_ = PROGRAMS[word]
    package, _, name = module.rpartition(".")
    assert importlib.util.find_spec(package)
    assert (ROOT / package.replace(".", "/") / f"{name}.py").is_file()


def test_the_compose_files_ask_for_words_that_there_are() -> None:
    asked = {
        word
        for file in (ROOT / "compose.yaml", *(ROOT / "compose").glob("*.yaml"))
        for word in re.findall(r"\[(?:CMD, )?stack, ([a-z-]+)\]", file.read_text())
    }
    assert {"init", "healthcheck", "publish-vassals"} <= asked <= {*PROGRAMS}


@pytest.mark.parametrize("words", [[], ["nothing"], ["stack.init"]])
def test_any_other_word_is_refused_with_those_that_there_are(words: list[str]) -> None:
    process = subprocess.run([sys.executable, COMMAND, *words], capture_output=True, text=True)
    assert process.returncode == 1
    assert process.stderr.startswith("usage: stack check-uwsgi|init|")
