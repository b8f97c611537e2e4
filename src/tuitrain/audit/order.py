"""Steps that are missing or written twice, and a clock that goes back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.metrics import metric
from tuitrain.audit.arithmetic import steps_text
from tuitrain.audit.audited_log import AuditedLog, Segment
from tuitrain.audit.finding import Finding, NotCheckedError, Severity
from tuitrain.audit.record_order import RecordOrder
from tuitrain.runs import FloatArray

REGULAR_SHARE, REGULAR_ROWS = 0.9, 10
"""A log has a usual interval when this share of at least so many records has it."""
SAME_VALUE = 1e-9
DECLARED = ("loss", "tokens", "lr", "grad_norm", "step_time_ms")
"""Values of which a step has one: of a metric of one's own a loop may log several."""


def find_steps(log: AuditedLog) -> Iterator[Finding]:
    """Steps that were written twice, that go back without a new attempt, or that are missing."""
    if not len(log.history.steps):
        raise NotCheckedError("there are no steps")
    if log.order is not None:
        yield from _repeated(log, log.order)
        yield from _returning(log, log.order)
    for segment in log.segments:
        yield from _missing(log, segment)
    yield from _end(log)


def _repeated(log: AuditedLog, order: RecordOrder) -> Iterator[Finding]:
    declared = [each for each in order.repeats if each.key in DECLARED]
    if not order.ours:
        # Rows of several kinds repeat what they have in common.
        declared = [each for each in declared if each.key == "loss"]
    different = [each for each in declared if abs(each.first - each.second) > SAME_VALUE * abs(each.first)]
    if not different and not (declared and order.ours):
        return
    shown = (different or declared)[0]
    steps = (min(each.step for each in declared), max(each.step for each in declared))
    count = len({each.step for each in declared})
    title = metric(shown.key).title
    message = (
        f"Step {shown.step:,} is written twice in one attempt, with {title} {units.exact(shown.first)} and "
        f"{units.exact(shown.second)} ({count:,} step{'s' if count > 1 else ''}, {steps_text(steps)})."
    )
    exact = log.segments[-1].claims.is_exact if log.segments else False
    severity: Severity = "impossible" if different and exact else "suspicious"
    likelier = "The later one is shown." if different else "Likelier: two processes write one log."
    yield Finding(severity, message, likelier, {"first": shown.first, "second": shown.second}, steps)


def _returning(log: AuditedLog, order: RecordOrder) -> Iterator[Finding]:
    if not order.returns or not order.ours:
        return
    before, after = order.returns[0]
    times = f" ({len(order.returns):,} times)" if len(order.returns) > 1 else ""
    message = f"After step {before:,} comes step {after:,} without a new attempt{times}."
    likelier = "Likelier: a resume whose first record is missing, or two processes that write one log."
    yield Finding("suspicious", message, likelier, {"before": before, "after": after}, (after, before))


def _missing(log: AuditedLog, segment: Segment) -> Iterator[Finding]:
    steps = segment["step"]
    if len(steps) <= REGULAR_ROWS:
        return
    evaluated = [each.step for split in log.history.splits for each in log.history.evaluations_of(split)]
    # A tool may count an evaluation as a step of its own.
    steps = np.union1d(steps, [step for step in evaluated if steps[0] < step < steps[-1]])
    gaps = np.diff(steps)
    usual, share = _usual_interval(gaps)
    wide = np.flatnonzero(gaps > 1.5 * usual)
    if not len(wide) or share < REGULAR_SHARE:
        return
    missing = int((gaps[wide] / usual - 1).round().sum())
    where = (int(steps[wide[0]]), int(steps[wide[-1] + 1]))
    interval = "every step" if usual == 1 else f"every {usual:,.0f} steps"
    lacking = "1 record is" if missing == 1 else f"{missing:,} records are"
    places = f" in {len(wide):,} places" if len(wide) > 1 else ""
    message = (
        f"The run was logged {interval}, but {lacking} missing{places} between step {where[0]:,} and step {where[1]:,}."
    )
    yield Finding("suspicious", message, "", {"missing": missing}, where)


def _usual_interval(gaps: FloatArray) -> tuple[float, float]:
    """The most frequent interval between records, and its share of all."""
    values, counts = np.unique(gaps, return_counts=True)
    return float(values[np.argmax(counts)]), float(counts.max() / len(gaps))


def _end(log: AuditedLog) -> Iterator[Finding]:
    """The step of the end, and whether a completed run has all its steps."""
    history, last = log.history, log.history.step
    end, total = history.end, log.claims[-1].total_steps
    if end is None or last is None:
        return
    if end.step is not None and end.step < last:
        message = f"The record of the end is of step {end.step:,}, but the log has steps up to {last:,}."
        yield Finding("impossible", message, "", {"end": end.step, "last": last})
        return
    newest, gaps = max(last, end.step or 0), np.diff(history.steps["step"])
    # Another tool may not log its last steps.
    interval = 0.0 if log.claims[-1].is_exact or not len(gaps) else 2 * _usual_interval(gaps)[0]
    if end.status == "completed" and total is not None and newest + interval < total:
        message = f"The run is completed, but its log has {newest:,} of {total:,} steps."
        yield Finding("suspicious", message, "Likelier: the log is not complete.", {"last": newest, "total": total})


def find_clock(log: AuditedLog) -> Iterator[Finding]:
    """Times of records that go back within an attempt."""
    if log.order is None:
        raise NotCheckedError("the order of the records is not known")
    if not log.order.backwards:
        return
    seconds, step = max(log.order.backwards, key=lambda each: each[0])
    where = f" after step {step:,}" if step is not None else ""
    times = f", {len(log.order.backwards):,} times in all" if len(log.order.backwards) > 1 else ""
    message = f"The clock goes back by {units.duration(seconds)}{where}{times}."
    exact = log.segments[-1].claims.is_exact
    severity: Severity = "impossible" if exact else "suspicious"
    likelier = "Likelier: the clock was set, or two logs were joined; the order of the records counts here."
    yield Finding(severity, message, likelier, {"seconds": seconds}, None if step is None else (step, step))
