"""The long form of a proof, which dev/prove runs: tests ask whether it is wanted, and keep what they have."""

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Whole:
    """True where the whole proof is wanted; what it saves is there when it is begun again."""

    def __init__(self, wanted: bool, name: str) -> None:
        self.wanted = wanted
        self.file = ROOT / "test-results" / f"{name}.json"

    def __bool__(self) -> bool:
        return self.wanted

    def saved(self) -> Any:
        """Return what an interrupted proof of the same commit saved last; an empty list with none."""
        if self.wanted and self.file.exists():
            commit, state = json.loads(self.file.read_text())
            if commit == self._commit() and not commit.endswith("-dirty"):
                return state
        return []

    def save(self, state: Any) -> None:
        """Keep ``state``, which JSON can hold, until ``forget``."""
        if self.wanted:
            self.file.parent.mkdir(exist_ok=True)
            self.file.write_text(json.dumps([self._commit(), state]))

    def forget(self) -> None:
        """Take away what was saved: the proof has come to its end."""
        if self.wanted:
            self.file.unlink(missing_ok=True)

    def _commit(self) -> str:
        # safe.directory: git otherwise refuses when root proves another user's clone.
        command = ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
