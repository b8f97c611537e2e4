"""Records between two that depend on all before them: the begin or the end of an attempt."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tuitrain.alerts.rows import Rows, rows_of_block
from tuitrain.events import AnyRecord, Eval, System
from tuitrain.readers.blocks import Steps
from tuitrain.runs.columns import BoolArray, Columns, FloatArray, RowArray


@dataclass
class Segment:
    """table: a row for each `step` record of a batch; late: which of them are.

    evals: index and record. others: index, record, and the newest step before it.
    """

    table: Columns
    late: BoolArray | None
    rows: list[Rows] = field(default_factory=list)
    evals: list[tuple[int, Eval]] = field(default_factory=list)
    others: list[tuple[int, AnyRecord, int | None]] = field(default_factory=list)

    def add_steps(self, begin: int, end: int, index: int) -> None:
        """Add rows of the table, the first of which has this index in the log."""
        indices = np.arange(index, index + end - begin)
        before = self.rows[-1] if self.rows else None
        if before is not None and before.table is self.table:
            begin, indices = before.begin, np.append(before.index, indices)
            self.rows.pop()
        late = self.late[begin:end] if self.late is not None else None
        self.rows.append(Rows(self.table, begin, end, indices, late))

    def add_block(self, block: Steps, index: int) -> None:
        """Add steps that are columns already, the first of which has this index in the log."""
        self.rows.append(rows_of_block(block, index))

    def signs(self) -> tuple[RowArray, FloatArray, FloatArray]:
        """Index, time and step (nan: none) of the records that show that the run goes on, in their order."""
        others = [(index, record.time) for index, record, _ in self.others if not isinstance(record, System)]
        others += [(index, record.time) for index, record in self.evals]
        index = [np.array([index for index, _ in others], dtype=np.intp), *(rows.index for rows in self.rows)]
        times = [np.array([time for _, time in others]), *(rows.time for rows in self.rows)]
        steps = [np.full(len(others), np.nan), *(rows.step for rows in self.rows)]
        columns = (np.concatenate(index), np.concatenate(times), np.concatenate(steps))
        order = np.argsort(columns[0]) if others else slice(None)
        return columns[0][order], columns[1][order], columns[2][order]
