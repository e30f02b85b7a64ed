"""The long form of a proof, which dev/prove runs: tests check whether it is wanted, and save their progress."""

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Whole:
    """True if the whole proof is wanted. An interrupted proof can continue from what it saved."""

    def __init__(self, wanted: bool, name: str) -> None:
        self.wanted = wanted
        self.file = ROOT / "test-results" / f"{name}.json"

    def __bool__(self) -> bool:
        return self.wanted

    def saved(self) -> Any:
        """Return what an interrupted proof of the same commit last saved; an empty list if there is none."""
        if self.wanted and self.file.exists():
            commit, state = json.loads(self.file.read_text())
            if commit == self._commit() and not commit.endswith("-dirty"):
                return state
        return []

    def save(self, state: Any) -> None:
        """Save ``state``, which must fit into JSON, until ``forget``."""
        if self.wanted:
            self.file.parent.mkdir(exist_ok=True)
            self.file.write_text(json.dumps([self._commit(), state]))

    def forget(self) -> None:
        """Delete what was saved, once the proof is complete."""
        if self.wanted:
            self.file.unlink(missing_ok=True)

    def _commit(self) -> str:
        # safe.directory: git otherwise refuses if root runs a proof in another user's clone.
        command = ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
