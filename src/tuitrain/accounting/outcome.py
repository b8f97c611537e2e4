"""The summary of a run from the lines of its own log, for the `end` record: read once, when the run ends."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuitrain.accounting.step_time import FloatArray
from tuitrain.accounting.summary import Records, Summary, split_outcome, summary_of
from tuitrain.events import AnyRecord, BrokenLineError, End, Eval, Run, Step, System, TimeUse, WallTime, decode
from tuitrain.events.own_metrics import updated, with_declared
from tuitrain.events.results import RunResults, validation_split

_KEYS = (
    "tokens", "loss", "accuracy", "step_time_ms", "data_time_ms", "tokens_per_sec", "tflops", "mfu", "mfu_causal",
    "mem_peak_gb",
)  # fmt: skip


def end_summary(lines: Iterable[bytes], now: float) -> dict[str, Any]:
    """What the `end` record of this time says of a run with these lines: the known values of its `Summary`, by name."""
    values = asdict(summary_of_lines(lines, End(time=now, status="completed")))
    return {key: value for key, value in values.items() if value is not None and key not in ("name", "run_id")}


def summary_of_lines(lines: Iterable[bytes], end: End | None = None) -> Summary:
    """The summary of a log of ours, as `analysis.summary.summarize` makes it. end: a last record that is not there."""
    log = _Log()
    for line in lines:
        try:
            record = decode(line)
        except BrokenLineError:
            continue  # a torn line of an attempt that crashed, which readers report
        if record is not None:
            log.absorb(record)
    if end is not None:
        log.absorb(end)
    return log.summary()


class _Log:
    """The records that a summary is made of."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._attempts = 0
        self._steps = _Steps()
        self._results = RunResults()
        self._wall_time, self._time_use = WallTime(), TimeUse()
        self._times, self._watts = array("d"), array("d")
        self._machine: System | None = None

    def absorb(self, record: AnyRecord) -> None:
        """Add the next record of the log."""
        self._wall_time.absorb(record)
        if isinstance(record, Step):
            record = with_declared(record)
            self._time_use.absorb_steps([record])
            begins = not self._results.has_steps
            if self._steps.add(record, begins) or begins:
                self._results.restart(record.step)
            return
        self._time_use.absorb(record)
        match record:
            case Run(update=True) if self._run is not None:
                self._run = updated(self._run, record)
            case Run():
                self._run, self._attempts = record, self._attempts + 1
                self._results.begin()
            case Eval():
                self._results.add(with_declared(record))
            case System():
                self._machine = record
                powers = [gpu.power_w for gpu in record.gpus if gpu.power_w is not None]
                if powers:
                    self._times.append(record.time)
                    self._watts.append(sum(powers))
            case End():
                self._results.begin()

    def summary(self) -> Summary:
        """The summary so far."""
        results, steps = self._results, self._steps
        evaluations = results.evaluations(validation_split(results.splits))
        return summary_of(
            Records(
                run=self._run,
                attempts=self._attempts,
                column=steps.column,
                present=steps.present,
                validation=split_outcome(evaluations),
                durations={each.step: each.duration_ms for each in evaluations},
                wall_s=self._wall_time.seconds(self._run.time if self._run else steps.began),
                power=(np.array(self._times), np.array(self._watts)),
                machine=self._machine,
                time_use=self._time_use,
                superseded_ms=steps.superseded_ms,
            )
        )


class _Steps:
    """The `step` records in effect, as columns."""

    def __init__(self) -> None:
        self._numbers = array("d")
        self._columns = {key: array("d") for key in _KEYS}
        self._present = {key: bytearray() for key in _KEYS}
        self.superseded_ms = array("d")
        self._times = array("d")

    @property
    def began(self) -> float | None:
        """Unix seconds of the first record."""
        return self._times[0] if self._times else None

    def add(self, step: Step, begins: bool) -> bool:
        """Add a record, the first of an attempt or not. Returns whether it supersedes others.

        A further record of the newest step adds to its row, a late one to the row of its number.
        """
        numbers, number = self._numbers, float(step.step)
        if not numbers or number > numbers[-1]:
            self._append(step)
            return False
        row = bisect_left(numbers, number)
        if begins or (step.late is not True and number < numbers[-1]):
            self._cut(row)
            self._append(step)
            return True
        if numbers[row] == number:
            for key in _KEYS:
                if (value := getattr(step, key)) is not None:
                    self._columns[key][row], self._present[key][row] = value, 1
        return False

    def column(self, key: str) -> FloatArray:
        """The values of a key, absent ones as nan."""
        return np.array(self._numbers if key == "step" else self._columns[key])

    def present(self, key: str) -> NDArray[np.bool_]:
        """Which rows have a value."""
        return np.frombuffer(self._present[key], dtype=bool)

    def _append(self, step: Step) -> None:
        self._numbers.append(step.step)
        self._times.append(step.time)
        for key in _KEYS:
            value = getattr(step, key)
            self._columns[key].append(np.nan if value is None else value)
            self._present[key].append(value is not None)

    def _cut(self, row: int) -> None:
        self.superseded_ms += self._columns["step_time_ms"][row:]
        del self._numbers[row:], self._times[row:]
        for key in _KEYS:
            del self._columns[key][row:]
            del self._present[key][row:]
