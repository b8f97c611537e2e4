"""Step times against the clock, and against evaluations that they may include."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuitrain.accounting.step_time import LEAST_EVALUATIONS, evaluated_steps
from tuitrain.analysis import units
from tuitrain.audit.arithmetic import comparison, steps_text
from tuitrain.audit.audited_log import AuditedLog
from tuitrain.audit.finding import Finding, NotCheckedError, Severity

CLOCK_TOLERANCE = 0.05


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
    durations = {each.step: each.duration_ms for split in history.splits for each in history.evaluations_of(split)
                 if each.step > 0}  # fmt: skip
    if len(durations) < LEAST_EVALUATIONS or np.count_nonzero(times > 0) < 2 * len(durations):
        raise NotCheckedError(f"there are fewer than {LEAST_EVALUATIONS} evaluations, or no step times between them")
    for each in evaluated_steps(numbers, times, durations):
        usual, longer = each.usual_ms, each.evaluated_ms
        message = (
            f"Steps {'right after' if each.offset else 'at'} evaluations take {units.milliseconds(longer)}, the others "
            f"{units.milliseconds(usual)}: {units.milliseconds(longer - usual)} more in {each.longer:,} of "
            f"{len(each.rows):,}."
        )
        values = {"at_evaluations_ms": longer, "others_ms": usual}
        known = [duration for duration in durations.values() if duration is not None and duration > 0]
        likelier = "they are too long, and tokens per second too low."
        if known:
            values["evaluation_ms"] = float(np.median(known))
            likelier = f"these take {units.milliseconds(values['evaluation_ms'])}."
        steps = (int(numbers[each.rows[0]]), int(numbers[each.rows[-1]]))
        yield Finding(
            "suspicious", message, f"Likelier: the step times include the evaluations; {likelier}", values, steps
        )
