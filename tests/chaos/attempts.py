"""The attempts of a run in tests: what was on disk when each began."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.logs import Account, AttemptStart, account_for
from tuitrain.events.checkpoints import complete_checkpoints


@dataclass
class Attempts:
    """A run directory, and what was there at the start of each attempt."""

    path: Path
    starts: list[AttemptStart] = field(default_factory=list)

    @property
    def log(self) -> bytes:
        """The log so far."""
        path = self.path / "metrics.jsonl"
        return path.read_bytes() if path.exists() else b""

    @property
    def checkpoint(self) -> int:
        """The step of its newest complete checkpoint; -1 without one."""
        return max((each.step for each in complete_checkpoints(self.path)), default=-1)

    @property
    def has_ended(self) -> bool:
        """Whether the newest record is a whole one of the end."""
        return self.log.endswith(b"\n") and b'"type":"end"' in self.log.splitlines()[-1]

    def next(self) -> list[str]:
        """Note the start of the next attempt; returns the arguments of its engine."""
        self.starts.append(AttemptStart(len(self.log), self.checkpoint))
        return ["train", "--run-dir", str(self.path), *(["--resume"] if self.checkpoint >= 0 else [])]

    def account(self) -> Account:
        """Each line of the log accounted for."""
        return account_for(self.log, self.starts)
