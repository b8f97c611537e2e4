"""The list of runs as a table."""

from __future__ import annotations

import time
from collections.abc import Set as AbstractSet

from tuitrain.analysis import units
from tuitrain.analysis.metrics import NOT_AVAILABLE, metric
from tuitrain.runs import Glance, Status
from tuitrain.tui.headline import STATUS_MARKS, STATUS_ROLES, bar
from tuitrain.tui.table import Column, table
from tuitrain.tui.text import Line, Span, clean, line

_COLUMNS = (
    Column("", rank=0),
    Column("run", longest=52),
    Column("status"),
    Column("step", right=True),
    Column("progress", right=True, rank=3),
    Column("tokens", right=True, rank=5),
    Column("loss", right=True),
    Column("val loss", right=True, rank=2),
    Column("MFU", right=True, rank=4),
    Column("tok/s", right=True, rank=1),
    Column("age", right=True, rank=1),
)


def run_table(glances: tuple[Glance, ...], marked: AbstractSet[str], cells: int) -> tuple[Line, list[Line]]:
    """The heading and one row for each run."""
    now = time.time()
    return table(_COLUMNS, [_row(each, each.directory.run_id in marked, now) for each in glances], cells)


def _row(seen: Glance, marked: bool, now: float) -> list[Line]:
    step, run = seen.step, seen.run
    loss = None if step is None else step.loss
    evaluation = None if seen.evaluation is None else seen.evaluation.loss
    rate = None if step is None else step.tokens_per_sec
    tokens = None if step is None else step.tokens
    broken = loss is not None and loss != loss
    return [
        line(Span("▪" if marked else " ", "accent")),
        line(Span(clean(seen.directory.run_id), "run.name" if seen.status.live else "text")),
        line(Span(f"{STATUS_MARKS.get(seen.status, '●')} {seen.status}", STATUS_ROLES[seen.status])),
        _cell(None if step is None else f"{step.step:,}"),
        _progress(step.step if step else 0, run.total_steps if run else None),
        _cell(None if tokens is None else units.count(tokens)),
        line(Span(metric("loss").text(loss), "bad" if broken else "value" if loss is not None else "quiet")),
        _cell(None if evaluation is None else metric("val_loss").text(evaluation)),
        _cell(None if step is None or step.mfu is None else metric("mfu").text(step.mfu)),
        _cell(None if rate is None else units.count(rate)),
        _cell(None if seen.last_time is None else units.age(now - seen.last_time)),
    ]


def _cell(text: str | None) -> Line:
    return line(Span(text, "value")) if text is not None else line(Span(NOT_AVAILABLE, "quiet"))


def _progress(step: int, total: int | None) -> Line:
    if not total:
        return _cell(None)
    fraction = min(step / total, 1.0)
    return (
        *bar(fraction, 8),
        Span(f"{units.percent(fraction if fraction == 1 else min(fraction, 0.999)):>8}", "quiet"),
    )


def summary(glances: tuple[Glance, ...] | None, runs_dir: str) -> Line:
    """How many runs there are, and how many of them live or in trouble."""
    if glances is None:
        return line(" ", Span(f"reading {runs_dir}", "quiet"))
    live = sum(each.status.live for each in glances)
    failed = sum(each.status in (Status.FAILED, Status.CRASHED) for each in glances)
    spans = [Span(f" {len(glances)} run{'' if len(glances) == 1 else 's'}", "title"), Span(f" in {runs_dir}", "quiet")]
    if live:
        spans.append(Span(f"   ● {live} live", "good"))
    if failed:
        spans.append(Span(f"   ✗ {failed} failed", "bad"))
    return tuple(spans)
