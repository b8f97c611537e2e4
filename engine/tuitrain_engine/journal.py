"""Writes every record of the engine to `metrics.jsonl` and its line to the console, from a thread.

A disk that is full or does not answer does not stop the training at once: what is to be written waits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tuitrain import events
from tuitrain.accounting.outcome import end_summary
from tuitrain_engine.report import Console, stderr, stdout

STAGE_INTERVAL_S, LONGEST_STAGE_INTERVAL_S = 5.0, 60.0
"""Seconds between records of how much of a stage is done, at first and later."""
PATIENCE_S = 600.0
"""How long training goes on while the log cannot be written; the checkpoints are most likely on the same disk."""
ANSWER_S = 60.0
"""How long a disk that does not answer is waited for where the log has to be on it: before it is read, at the end."""
LAST_S = 10.0
"""The same of what is left when the log is closed."""


class JournalError(OSError):
    """The log cannot be written; the message names it and says why."""


class Journal:
    """Writes records to the log of a run directory and, once there is a console, prints their lines.

    Of several processes the main one writes; the others only read what it wrote.
    """

    def __init__(self, run_dir: Path, *, writes: bool = True) -> None:
        self.path = run_dir / "metrics.jsonl"
        self.console: Console | None = None
        self._log = events.BackgroundWriter(self.path, failed=self._say_failing) if writes else None
        self._stage_began = self._stage_recorded = time.monotonic()
        self._stage = ""

    def write(self, record: events.Record) -> None:
        """Append a record. Raises JournalError once the log could not be written for PATIENCE_S."""
        console = self.console
        show = partial(console.show, record) if console is not None else None
        if self._log is None:
            return show() if show is not None else None
        if self._log.failing is not None and self._log.failing[1] > PATIENCE_S:
            raise self._error(f" for {PATIENCE_S / 60:.0f} minutes")
        is_end = isinstance(record, events.End)
        self._log.add(events.encode(record), getattr(record, "step", None), then=show, always=is_end)
        return None

    def flush(self, timeout_s: float = ANSWER_S) -> None:
        """Wait until all records are written. Raises JournalError where they cannot be, or the disk does not answer."""
        if self._log is not None and not self._log.flush(timeout_s):
            raise self._error()

    def _error(self, how_long: str = "") -> JournalError:
        failing = self._log.failing if self._log is not None else None
        reason = failing[0].strerror if failing is not None else "the file system does not answer"
        return JournalError(f"{self.path} cannot be written{how_long}: {reason}.")

    def _say_failing(self, error: OSError) -> None:
        minutes = f"{PATIENCE_S / 60:.0f} minutes"
        stderr().print(f"{self.path} cannot be written: {error.strerror}. It is tried again for {minutes}.")

    def begin_stage(self, stage: str) -> None:
        """Record which stage begins on the way to the first step. Raises JournalError."""
        self._stage_began = self._stage_recorded = time.monotonic()
        self._stage = stage
        self.write(events.Stage(stage=stage))
        if self._log is not None:
            stdout().print(f"{'start':<8}  {stage}")

    def record_progress(self, stage: str, done: float | None) -> None:
        """Record how much of a stage is done (0–1), more rarely the longer it takes."""
        now = time.monotonic()
        pause = min(max(STAGE_INTERVAL_S, (now - self._stage_began) / 20), LONGEST_STAGE_INTERVAL_S)
        if stage != self._stage or now - self._stage_recorded >= pause:
            self._stage, self._stage_recorded = stage, now
            self.write(events.Stage(stage=stage, done=done))

    def close(self) -> None:
        """Close the log; what cannot be written is lost."""
        if self._log is not None:
            self._log.close(LAST_S)

    def attempts(self) -> int:
        """The number of attempts in the log."""
        return sum(isinstance(record, events.Run) for record in self._past("run"))

    def evaluations(self, up_to_step: int) -> list[events.Eval]:
        """Evaluations of the held-out split in the order of steps, as far as a resume from `up_to_step` keeps them.

        An attempt supersedes what earlier ones wrote from its first record on; a loss that is no number is left out.
        """
        kept: dict[int, events.Eval] = {}
        begins = False
        for record in self._past("run", "step", "eval"):
            if isinstance(record, events.Run):
                begins = True
                continue
            assert isinstance(record, events.Step | events.Eval)
            if begins:
                kept = {step: each for step, each in kept.items() if step < record.step}
                begins = False
            if isinstance(record, events.Eval) and record.split == "val" and math.isfinite(record.loss):
                kept[record.step] = record
        return [kept[step] for step in sorted(kept) if step <= up_to_step]

    def written_at(self, step: int) -> frozenset[str]:
        """Which of `eval`, `sample` and `checkpoint` were written of a step, since it was last trained."""
        kinds: set[str] = set()
        for record in self._past("step", "eval", "sample", "checkpoint"):
            assert isinstance(record, events.Step | events.Eval | events.Sample | events.Checkpoint)
            if isinstance(record, events.Step):
                kinds = kinds if record.step > step else set()
            elif record.step == step:
                kinds.add(str(record.__struct_config__.tag))
        return frozenset(kinds)

    def summary(self, now: float) -> dict[str, Any]:
        """That of the `end` record of this time, from the log so far; empty where it cannot be read, and of others
        than the main process."""
        if self._log is None:
            return {}
        try:
            self.flush()
            with self.path.open("rb") as lines:
                return end_summary(lines, now)
        except OSError:
            return {}

    def _past(self, *kinds: str) -> Iterator[events.AnyRecord]:
        """The records so far, all or those of some kinds."""
        self.flush()
        marks = tuple(f'"type":"{kind}"'.encode() for kind in kinds)
        with self.path.open("rb") as lines:
            for line in lines:
                if kinds and not any(mark in line for mark in marks):
                    continue
                record = _decoded(line)
                if record is not None and (not kinds or record.__struct_config__.tag in kinds):
                    yield record


def _decoded(line: bytes) -> events.AnyRecord | None:
    """The record of a line; None for a torn one of an attempt that crashed, which readers report."""
    try:
        return events.decode(line)
    except events.BrokenLineError:
        return None
