"""The steps of a run as a table: what to do with a record whose step is not the next one."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from tuitrain.events import Step
from tuitrain.events.own_metrics import combined
from tuitrain.readers.blocks import Steps
from tuitrain.runs.columns import Columns


class StepTable:
    """Adds steps to `rows`, which rise; those that a later attempt did again go to `superseded`.

    Records are collected, and `settle` extends the tables once; the result is that of adding them one by one.
    """

    def __init__(self) -> None:
        self.rows = Columns()
        self.superseded = Columns()
        self.newest: int | None = None
        self._next: list[Step] = []
        self._dropped: list[Step] = []
        self._late: dict[float, Step] = {}
        self._plain = True
        """Whether all steps since the tables were settled were appended one after the other."""

    def append(self, steps: list[Step]) -> None:
        """Add steps that count up, of which the first is past the newest one."""
        self._next += steps
        self.newest = steps[-1].step

    def append_block(self, block: Steps) -> None:
        """Add steps of which the first is past the newest one."""
        self._extend()
        self._plain = False
        self.rows.extend_at_once({"time": block.times, "step": block.steps, **block.values}, len(block.steps))
        self.newest = int(block.steps[-1])

    def add(self, step: Step, begins: bool) -> bool:
        """Add any step; begins: it is the first of an attempt. Returns whether it supersedes others.

        A further record of the newest step adds to its row; a late one to the row of its number, or to a new one
        between others. Any other that goes back is of an attempt whose first record is missing.
        """
        if self.newest is None or float(step.step) > float(self.newest):
            self.append([step])
            return False
        self._plain = False
        if not begins and self._next and float(self._next[-1].step) == float(step.step):
            self._next[-1] = combined(self._next[-1], step)
            return False
        if begins or (step.late is not True and float(step.step) < float(self.newest)):
            self._supersede(step.step)
            self.append([step])
            return True
        number = float(step.step)
        self._late[number] = combined(self._late[number], step) if number in self._late else step
        return False

    def keep_newest(self, count: int) -> None:
        """Forget all but the newest rows."""
        self.rows, self.superseded = self.rows.cut(max(0, len(self.rows) - count)), Columns()

    def settle(self) -> Columns | None:
        """Extend the tables by what was added. Returns it as a table where that is all of it, as it came."""
        if self._dropped:
            self.superseded.extend(self._dropped)
            self._dropped = []
        if self._late:
            # The rows may be among those that are collected.
            late = [self._late[step] for step in sorted(self._late)]
            self._late = {}
            self._extend()
            tail = self.rows.cut(self._row_of(late[0].step))
            self.rows.append_columns(merged(tail, late))
        plain, self._plain = self._plain, True
        added = self._extend()
        return added if plain else None

    def _extend(self) -> Columns | None:
        if not self._next:
            return None
        added = Columns()
        added.extend(self._next)
        self.rows.append_columns(added)
        self._next = []
        return added

    def _supersede(self, step: int) -> None:
        """Move this step and later ones to the superseded."""
        if self._late:
            self.settle()
            self._plain = False
        # Numbers are compared as the columns hold them.
        at = bisect_left(self._next, float(step), key=lambda record: float(record.step))
        if not at and len(self.rows) and self.rows["step"][-1] >= step:
            if self._dropped:
                self.superseded.extend(self._dropped)
                self._dropped = []
            self.superseded.append_columns(self.rows.cut(self._row_of(step)))
        self._dropped += self._next[at:]
        del self._next[at:]

    def _row_of(self, step: int) -> int:
        """The first row at this step or a later one."""
        return int(np.searchsorted(self.rows["step"], step, side="left"))


def merged(rows: Columns, steps: list[Step]) -> Columns:
    """A table with the values of these steps, which rise, in the rows of their numbers or in new ones between them."""
    table, late = Columns(), Columns()
    late.extend(steps)
    numbers = np.union1d(rows["step"], late["step"])
    new = ~np.isin(late["step"], rows["step"])
    for key in dict.fromkeys((*rows.keys, *late.keys)):
        (old_rows, old), (late_rows, values) = rows.points(key), late.points(key)
        if key == "time":
            late_rows, values = late_rows[new[late_rows]], values[new[late_rows]]
        at = np.concatenate([
            np.searchsorted(numbers, rows["step"])[old_rows], np.searchsorted(numbers, late["step"])[late_rows],
        ])  # fmt: skip
        # Of two values for one row the later one is kept.
        _, kept = np.unique(at[::-1], return_index=True)
        kept = len(at) - 1 - kept
        table.put(key, np.concatenate([old, values])[kept], at[kept], len(numbers))
    return table
