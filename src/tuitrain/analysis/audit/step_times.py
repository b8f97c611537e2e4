"""Step times against the clock, and against evaluations that they may include."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.audit.arithmetic import comparison, steps_text
from tuitrain.analysis.audit.audited_log import AuditedLog
from tuitrain.analysis.audit.finding import Finding, NotCheckedError, Severity
from tuitrain.runs import FloatArray

CLOCK_TOLERANCE = 0.05
MUCH_LONGER = 1.5
"""A step that includes an evaluation takes this many times as long as others."""
MOST_EVALUATIONS = 0.9
"""Share of the evaluations after which that is so."""
LEAST_EVALUATIONS = 3
LEAST_OF_IT, MOST_OF_IT = 0.7, 1.5
"""What a step takes longer, by the duration of the evaluation: caches that it emptied cost something too."""


def find_step_clock(log: AuditedLog) -> Iterator[Finding]:
    """The sum of the step times of an attempt against its clock."""
    checked = False
    for segment in log.segments_with("step_time_ms", "time"):
        times, seconds = segment["time"], segment["step_time_ms"] / 1000
        rows = np.flatnonzero(np.isfinite(times) & np.isfinite(seconds))
        passed = float(times[rows[-1]] - times[rows[0]]) if len(rows) else 0.0
        if len(rows) < 3 or passed <= 0:
            continue
        checked = True
        covered = np.diff(segment["step"][rows])
        summed = float((seconds[rows[1:]] * covered).sum())
        # A record may be written one step late, and the clock of a log may have whole seconds only.
        slack = float((seconds[rows[1:]] * covered).max()) + 2.0
        if summed > passed * (1 + CLOCK_TOLERANCE) + slack:
            steps = (int(segment["step"][rows[0]]), int(segment["step"][rows[-1]]))
            ratio = summed / passed
            message = (
                f"The step times of {steps_text(steps)} sum to {units.duration(summed)}, but the clock of the log has "
                f"{units.duration(passed)} between them: {comparison(summed, passed)}."
            )
            likelier = "Likelier: the clock; the step times are in another unit." if ratio > 500 else ""
            severity: Severity = "impossible" if segment.claims.is_exact else "suspicious"
            yield Finding(severity, message, likelier, {"step_times_s": summed, "clock_s": passed}, steps)
    if not checked:
        raise NotCheckedError("the records have no clock, or too few step times")


def find_evaluation_time(log: AuditedLog) -> Iterator[Finding]:
    """Times of the steps at or right after evaluations against those of the others."""
    history = log.history
    numbers, times = history.steps["step"], history.steps["step_time_ms"]
    usable = np.isfinite(times) & (times > 0)
    numbers, times = numbers[usable], times[usable]
    durations = {each.step: each.duration_ms for split in history.splits for each in history.evaluations_of(split)
                 if each.step > 0}  # fmt: skip
    if len(durations) < LEAST_EVALUATIONS or len(times) < 2 * len(durations):
        raise NotCheckedError(f"there are fewer than {LEAST_EVALUATIONS} evaluations, or no step times between them")
    at = np.array(sorted(durations), dtype=float)
    for offset, which in ((0, "at"), (1, "right after")):
        yield from _longer(numbers, times, at, offset, which, durations)


def _longer(
    numbers: FloatArray, times: FloatArray, at: FloatArray, offset: int, which: str,
    durations: dict[int, float | None],
) -> Iterator[Finding]:  # fmt: skip
    """Whether the records at evaluations, or the first ones after, are longer than the others."""
    rows = np.searchsorted(numbers, at, side="right" if offset else "left")
    inside = rows < len(numbers)
    rows, evaluated = np.unique(rows[inside]), at[inside]
    if not offset:
        exact = numbers[rows[rows < len(numbers)]]
        if not np.isin(exact, evaluated).all():
            return
    others = np.setdiff1d(np.arange(len(numbers)), rows)
    if len(rows) < LEAST_EVALUATIONS or len(others) < len(rows):
        return
    usual = float(np.median(times[others]))
    longer = times[rows] > MUCH_LONGER * usual
    if longer.mean() < MOST_EVALUATIONS or (times[others] > MUCH_LONGER * usual).mean() > 0.5 * longer.mean():
        return
    excess = float(np.median(times[rows])) - usual
    known = [duration for duration in durations.values() if duration is not None and duration > 0]
    covered = float(np.median(np.diff(numbers)))
    message = (
        f"Steps {which} evaluations take {units.milliseconds(usual + excess)}, the others {units.milliseconds(usual)}: "
        f"{units.milliseconds(excess)} more in {int(longer.sum()):,} of {len(rows):,}."
    )
    values = {"at_evaluations_ms": usual + excess, "others_ms": usual}
    if known:
        duration = float(np.median(known))
        # A record is a mean over the steps since the one before.
        if not any(LEAST_OF_IT < part / duration < MOST_OF_IT for part in (excess, excess * covered)):
            return
        values["evaluation_ms"] = duration
        likelier = f"Likelier: the step times include the evaluations, which take {units.milliseconds(duration)}."
    else:
        likelier = "Likelier: the step times include the evaluations; they are too long, and tokens per second too low."
    yield Finding("suspicious", message, likelier, values, (int(numbers[rows[0]]), int(numbers[rows[-1]])))
