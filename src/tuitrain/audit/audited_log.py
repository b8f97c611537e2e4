"""A log as the checks read it: its history, the order of its records, and what it says of each attempt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tuitrain.analysis.claims import Claims, claims_of
from tuitrain.audit.arithmetic import rounding_of
from tuitrain.audit.finding import NotCheckedError
from tuitrain.audit.record_order import RecordOrder
from tuitrain.events import Run
from tuitrain.runs import FloatArray, RunHistory

TOLERANCE = 0.005
BETWEEN_MEANS = 0.1
"""Tolerance for another tool's log, whose columns may be means over different steps."""


@dataclass(frozen=True)
class Segment:
    """The steps of one attempt that the run kept: rows `first` to `last`, the latter not included."""

    history: RunHistory
    claims: Claims
    first: int
    last: int

    def __getitem__(self, key: str) -> FloatArray:
        """A column of these rows, absent values as nan."""
        return self.history.steps[key][self.first : self.last]

    def has(self, *keys: str) -> bool:
        """Whether each of these columns has a finite value."""
        return all(np.isfinite(self[key]).any() for key in keys)

    @property
    def tokens_per_step(self) -> float | None:
        """The tokens of a step: as stated, by its factors, or by the counter."""
        claims = self.claims
        if claims.tokens_per_step is not None:
            return float(claims.tokens_per_step)
        if claims.global_batch is not None and claims.seq_len is not None:
            return float(claims.global_batch * claims.seq_len)
        tokens, steps = self["tokens"], self["step"]
        rows = np.flatnonzero(np.isfinite(tokens))
        if len(rows) < 2 or not tokens[rows[-1]] > tokens[rows[0]]:
            return None
        return float((tokens[rows[-1]] - tokens[rows[0]]) / (steps[rows[-1]] - steps[rows[0]]))

    def tolerance(self, *keys: str) -> float:
        """The relative tolerance for a product or a quotient of these columns."""
        base = TOLERANCE if self.claims.is_exact else BETWEEN_MEANS
        return base + sum(rounding_of(self[key]) for key in keys)


@dataclass(frozen=True)
class AuditedLog:
    """One run. order: None where only the history is there."""

    history: RunHistory
    order: RecordOrder | None = None

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The attempts with steps, in their order; a log without a `run` record has one."""
        history = self.history
        begun = zip(history.attempts, history.attempt_steps, strict=True)
        starts: list[tuple[Run | None, int]] = [(run, start) for run, start in begun if start is not None]
        starts = starts or [(history.run, 0)]
        # An attempt supersedes the steps of earlier ones from its first step on.
        kept = [
            (run, start)
            for at, (run, start) in enumerate(starts)
            if all(start < later for _, later in starts[at + 1 :])
        ]
        rows = np.searchsorted(history.steps["step"], [start for _, start in kept]).tolist()
        ends = [*rows[1:], len(history.steps)]
        # What stands before the first attempt's first step is of an attempt whose record is missing.
        return tuple(
            Segment(history, claims_of(run, history.steps), row, end)
            for (run, _), row, end in zip(kept, rows, ends, strict=True)
        )

    @property
    def claims(self) -> tuple[Claims, ...]:
        """What is said of each attempt with steps; of the newest attempt where none has any."""
        return tuple(each.claims for each in self.segments)

    def segments_with(self, *keys: str) -> Iterator[Segment]:
        """The attempts whose steps have all of these columns. Raises NotCheckedError where none has."""
        having = [each for each in self.segments if each.has(*keys)]
        if not having:
            missing = [key for key in keys if not any(each.has(key) for each in self.segments)]
            raise NotCheckedError(f"the steps have no {' and no '.join(missing or keys)}")
        yield from having
