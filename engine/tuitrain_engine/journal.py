"""The engine's side of the log: every record goes through here, into `metrics.jsonl` and onto the console."""

from __future__ import annotations

from pathlib import Path

from tuitrain import events
from tuitrain_engine.report import Console


class JournalError(OSError):
    """The log cannot be written; the message names it and says why."""


class Journal:
    """Writes records to the log of a run directory and, once there is a console, prints their lines.

    Of several processes the main one writes; the others only read what it wrote.
    """

    def __init__(self, run_dir: Path, *, writes: bool = True) -> None:
        self.path = run_dir / "metrics.jsonl"
        self.console: Console | None = None
        self._log = events.EventWriter(self.path) if writes else None

    def write(self, record: events.Record) -> None:
        """Append a record. Raises JournalError."""
        if self._log is not None:
            try:
                self._log.write(record)
            except OSError as error:
                raise JournalError(f"{self.path} cannot be written: {error.strerror}.") from None
        if self.console is not None:
            self.console.show(record)

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()

    def attempts(self) -> int:
        """How many attempts the log has seen so far."""
        return len(self._past(b'"type":"run"'))

    def val_losses(self, up_to_step: int) -> dict[int, float]:
        """Validation loss by step, without what a resume from `up_to_step` supersedes."""
        past = [record for record in self._past(b'"type":"eval"') if isinstance(record, events.Eval)]
        return {record.step: record.loss for record in past if record.step <= up_to_step and record.split == "val"}

    def _past(self, mark: bytes) -> list[events.AnyRecord]:
        found = []
        with self.path.open("rb") as lines:
            for line in lines:
                if mark not in line:
                    continue
                try:
                    record = events.decode(line)
                except events.BrokenLineError:
                    continue  # a torn line of an attempt that crashed; readers report it
                if record is not None:
                    found.append(record)
        return found
