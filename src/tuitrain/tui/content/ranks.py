"""Step times of the processes of a run: one bar each, the part in which it waits for the others set off."""

from __future__ import annotations

from itertools import islice

from tuitrain.analysis import units
from tuitrain.events import System
from tuitrain.tui.content.columns import side_by_side
from tuitrain.tui.text import Line, Span, align, line, width
from tuitrain.tui.view_state import RunView

LOOKED_AT = 60
"""Of so many newest readings one may tell step times: a run that evaluates has none for a while."""
_ENTRY_CELLS = 58
LATE = 0.05
"""A process that keeps the others waiting for more than this share of a step is set off in amber."""


def rank_lines(view: RunView, cells: int) -> list[Line]:
    """A heading and a bar a process; nothing for a run of one."""
    told = next((each for each in islice(reversed(view.history.systems), LOOKED_AT) if each.rank_step_ms), None)
    run = view.history.run
    if told is None:
        alone = run is None or run.parallel is None or run.parallel.world_size < 2
        return [] if alone else [_heading("", cells), line(" ", Span("No step times by process yet.", "quiet"))]
    busy_ms = list(told.rank_busy_ms or ())
    skew = f"rank skew {units.milliseconds(max(busy_ms) - min(busy_ms))}" if busy_ms else ""
    count = max(1, min(4, cells // _ENTRY_CELLS)) if len(told.rank_step_ms or ()) > 4 else 1
    entries = _entries(told, (cells - 1) // count - 1)
    return [_heading(skew, cells), *side_by_side([[entry] for entry in entries], cells - 1, count)]


def _heading(note: str, cells: int) -> Line:
    head = line(" ", Span("Step time by process", "title"), Span(f"  {note}" if note else "", "quiet"), " ")
    return (*head, Span("─" * max(cells - width(head) - 1, 0), "frame"))


def _entries(told: System, cells: int) -> list[Line]:
    """A line a rank: computing, waiting, and both in numbers."""
    step_ms, busy_ms = list(told.rank_step_ms or ()), list(told.rank_busy_ms or ())
    busy_ms += step_ms[len(busy_ms) :]
    longest = max(step_ms, default=0.0)
    slowest = max(range(len(busy_ms)), key=busy_ms.__getitem__, default=0)
    late = max(busy_ms, default=0.0) - min(busy_ms, default=0.0) > LATE * longest
    digits = len(str(len(step_ms) - 1))
    lines = []
    for rank, (step, busy) in enumerate(zip(step_ms, busy_ms, strict=False)):
        note = " slowest" if rank == slowest and late else f" waits {units.milliseconds(max(step - busy, 0.0))}"
        room = max(cells - digits - 8 - 9 - 15, 4)
        whole = round(room * step / longest) if longest > 0 else 0
        done = min(round(room * busy / longest) if longest > 0 else 0, whole)
        role = "warn" if rank == slowest and late else "accent"
        lines.append(
            line(
                Span(f" {align(str(rank), digits + 2, right=True)}  ", "warn" if role == "warn" else "quiet"),
                Span("▇" * done, role),
                Span("▁" * (whole - done), "level"),
                Span(" " * (room - whole)),
                Span(align(units.milliseconds(step), 9, right=True), "value"),
                Span(align(note, 15), "warn" if role == "warn" else "quiet"),
            )
        )
    return lines
