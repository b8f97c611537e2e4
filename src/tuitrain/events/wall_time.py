"""How long a run took by its log: one rule for the engine and for the readers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tuitrain.events.records import AnyRecord, End, Run, Stage, Step


@dataclass
class WallTime:
    """Seconds of the attempts of a log, of each from its `run` record to its last, without the time between them.

    What follows an `end`, or the stages that follow steps, is of an attempt that has not begun: its `run` record is
    still to come, or never came.
    """

    _first: float | None = None
    _last: float | None = None
    _earlier: list[tuple[float, float]] = field(default_factory=list)
    """The first and the last record of each attempt before."""
    _has_steps: bool = False
    _is_over: bool = False

    def absorb(self, record: AnyRecord) -> None:
        """Take in the next record of the log; of steps in a row the last one is enough."""
        if isinstance(record, Step):
            self._last, self._has_steps, self._is_over = record.time, True, False
        elif isinstance(record, Run) and record.update is True:
            pass
        elif isinstance(record, Run):
            if self._first is not None and self._last is not None:
                self._earlier.append((self._first, max(self._first, self._last)))
            self._first = self._last = record.time
            self._has_steps = self._is_over = False
        elif isinstance(record, Stage):
            self._is_over = self._is_over or self._has_steps
        elif not self._is_over:
            self._last, self._is_over = record.time, isinstance(record, End)

    def seconds(self, first: float | None = None, until: float = math.inf) -> float | None:
        """The sum so far; `first`: when the newest attempt began, where its `run` record is not among the records.

        until: only up to this Unix time. None where it is unknown, as when the clock was set back by more than that, or
        all records have one time.
        """
        first = first if self._first is None else self._first
        if first is None or self._last is None or self._last < first:
            return None
        attempts = [*self._earlier, (first, self._last)]
        return sum(max(0.0, min(last, until) - begin) for begin, last in attempts) or None
