"""The samples of a run as lines: those of one step, and the strip of the steps that have samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuitrain.events import Sample
from tuitrain.runs import Columns, RunHistory
from tuitrain.text import clean
from tuitrain.tui.text import Line, Span, line, width, wrap

CHOSEN, OTHER = "●", "◆"


def sample_steps(samples: Sequence[Sample]) -> list[int]:
    """The steps that have samples, ascending."""
    return sorted({sample.step for sample in samples})


def sample_lines(samples: Sequence[Sample], step: int, cells: int) -> list[Line]:
    """All samples of a step in the order they were written: prompt quiet, continuation plain."""
    chosen = [sample for sample in samples if sample.step == step]
    lines: list[Line] = []
    for number, sample in enumerate(chosen, start=1):
        if lines:
            lines.append(())
        if len(chosen) > 1:
            lines.append(line(Span(f"{number} of {len(chosen)}", "quiet")))
        lines += continued(sample.prompt, sample.text, cells)
    return lines


def continued(prompt: str, text: str, cells: int) -> list[Line]:
    """A prompt and its continuation, wrapped to `cells` cells as one text."""
    rows: list[Line] = []
    left = len(prompt)
    for paragraph in (prompt + text).rstrip("\n").split("\n"):
        before, after = clean(paragraph[: max(left, 0)]), clean(paragraph[max(left, 0) :])
        left -= len(paragraph) + 1
        at = 0
        whole = before + after
        for row in wrap(whole, max(cells, 8)):
            # Wrapping drops the spaces at which it breaks.
            at = whole.index(row, at)
            prompted = max(0, len(before) - at)
            rows.append(line(Span(row[:prompted], "quiet"), Span(row[prompted:], "text")))
            at += len(row)
    return rows


def heading(history: RunHistory, step: int, mark: str, role: str, cells: int) -> Line:
    """The step, its loss or the last one logged before it, and its validation loss, as far as they fit."""
    head = line(Span(f"{mark} ", role), Span(f"step {step:,}", "title"))
    logged, loss = _last_loss(history.steps, step)
    evaluated, val_loss = _last_loss(history.evals, step)
    note = "" if logged == step else f" at step {logged:,}"
    for name, value, value_role, after in (("loss", loss, "value", note), ("val", val_loss, "val", "")):
        if value is None or (name == "val" and evaluated != step):
            continue
        part = line(Span(f"   {name} ", "quiet"), Span(f"{value:.3f}", value_role), Span(after, "quiet"))
        head = (*head, *part) if width(head) + width(part) <= cells else head
    return head


def _last_loss(columns: Columns, step: int) -> tuple[int, float | None]:
    """The last step at this one or before it, and its loss; None where it has none."""
    row = int(np.searchsorted(columns["step"], step, side="right")) - 1
    if row < 0 or not columns.present("loss")[row]:
        return step, None
    return int(columns["step"][row]), float(columns["loss"][row])


def strip(steps: Sequence[int], chosen: int, other: int | None, cells: int) -> Line:
    """A mark for each step that has samples, as many around the chosen one as fit; a click chooses one."""
    ends = f" {steps[0]:,} ", f" {steps[-1]:,} "
    room = max(cells - len(ends[0]) - len(ends[1]) - 2, 3)
    at = steps.index(chosen)
    begin = max(0, min(at - room // 2, len(steps) - room))
    marks: list[Span] = [Span("‹" if begin else " ", "quiet")]
    for index in range(begin, min(begin + room, len(steps))):
        action = f"screen.choose_step({steps[index]})"
        if steps[index] == chosen:
            marks.append(Span(CHOSEN, "accent", action))
        elif steps[index] == other:
            marks.append(Span(OTHER, "val", action))
        else:
            marks.append(Span("·", "quiet", action))
    marks.append(Span("›" if begin + room < len(steps) else " ", "quiet"))
    return line(Span(ends[0], "quiet"), *marks, Span(ends[1], "quiet"))
