"""Step times of the processes of a run: a bar for each, with the part in which it waits for the others."""

from __future__ import annotations

from itertools import islice

from tuitrain.analysis import units
from tuitrain.events import System
from tuitrain.tui.content.columns import side_by_side
from tuitrain.tui.content.meters import section
from tuitrain.tui.text import Line, Span, align, line
from tuitrain.tui.view_state import RunView

NEWEST = 60
"""The newest readings that are searched for step times: an evaluation writes readings without them."""
_ENTRY_CELLS = 58
LATE = 0.05
"""A process that keeps the others waiting for more than this share of a step is drawn as a warning."""
_TITLE = "Step time by process"


def rank_lines(view: RunView, cells: int) -> list[Line]:
    """A heading and a bar for each process; nothing for a run of one process."""
    timed = next((each for each in islice(reversed(view.history.systems), NEWEST) if each.rank_step_ms), None)
    run = view.history.run
    if timed is None:
        single = run is None or run.parallel is None or run.parallel.world_size < 2
        return [] if single else [section(_TITLE, cells), line(" ", Span("No step times by process yet.", "quiet"))]
    busy_ms = timed.rank_busy_ms or ()
    skew = f"rank skew {units.milliseconds(max(busy_ms) - min(busy_ms))}" if busy_ms else ""
    count = max(1, min(4, cells // _ENTRY_CELLS)) if len(timed.rank_step_ms or ()) > 4 else 1
    entries = _entries(timed, (cells - 1) // count - 1)
    return [section(_TITLE, cells, skew), *side_by_side([[entry] for entry in entries], cells - 1, count)]


def _entries(timed: System, cells: int) -> list[Line]:
    """A line for each rank: computing, waiting, and both in numbers."""
    step_ms, busy_ms = list(timed.rank_step_ms or ()), list(timed.rank_busy_ms or ())
    busy_ms += step_ms[len(busy_ms) :]
    longest = max(step_ms, default=0.0) or 1.0
    late = max(busy_ms, default=0.0) - min(busy_ms, default=0.0) > LATE * longest
    slowest = busy_ms.index(max(busy_ms)) if late else None
    digits = len(str(len(step_ms) - 1))
    room = max(cells - digits - 8 - 9 - 15, 4)
    lines = []
    for rank, (step, busy) in enumerate(zip(step_ms, busy_ms, strict=False)):
        note = " slowest" if rank == slowest else f" waits {units.milliseconds(max(step - busy, 0.0))}"
        bar, quiet = ("warn", "warn") if rank == slowest else ("accent", "quiet")
        whole = round(room * step / longest)
        done = min(round(room * busy / longest), whole)
        lines.append(
            line(
                Span(f" {align(str(rank), digits + 2, right=True)}  ", quiet),
                Span("▇" * done, bar),
                Span("▁" * (whole - done), "level"),
                Span(" " * (room - whole)),
                Span(align(units.milliseconds(step), 9, right=True), "value"),
                Span(align(note, 15), quiet),
            )
        )
    return lines
