"""The learning rate against the schedule that the configuration claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tuitrain.accounting import Schedule, TokenPosition, lr_factor
from tuitrain.analysis import units
from tuitrain.analysis.run_settings import positive, whole
from tuitrain.audit.arithmetic import comparison, steps_text
from tuitrain.audit.audited_log import AuditedLog, Segment
from tuitrain.audit.finding import Finding, NotCheckedError, Severity
from tuitrain.runs.columns import RowArray

TOLERANCE = 0.005
"""Of the peak."""
OTHER_TOOLS = 0.03
MOST_ROWS = 2000
"""Rows that are compared, evenly spread over an attempt."""
_SCHEDULES = {
    "cosine": "cosine", "linear": "linear", "constant": "constant", "constant_with_warmup": "constant",
}  # fmt: skip
_OFFSETS = (0, -1, 1)
"""Tools count the first step from 0 or 1, and log the learning rate before or after its change."""


@dataclass(frozen=True)
class _Settings:
    """A `Schedule` of another tool."""

    name: str
    warmup_steps: int
    min_lr_ratio: float
    decay_fraction: float = 0.2


def find_schedule(log: AuditedLog) -> Iterator[Finding]:
    """Learning rates against the schedule, its peak, and zero."""
    checked = False
    for segment in log.segments_with("lr"):
        yield from _negative(segment)
        if segment.claims.config is not None:
            checked = True
            yield from _by_config(log, segment)
        elif (peak := positive(segment.claims.settings.get("lr"))) is not None:
            checked = True
            yield from _by_settings(segment, peak)
    if not checked:
        raise NotCheckedError("the configuration has no learning rate")


def _negative(segment: Segment) -> Iterator[Finding]:
    below = np.flatnonzero(segment["lr"] < 0)
    if len(below):
        steps = (int(segment["step"][below[0]]), int(segment["step"][below[-1]]))
        lowest = float(segment["lr"][below].min())
        message = f"At {steps_text(steps)} the learning rate is negative, down to {units.scientific(lowest)}."
        likelier = "Likelier: a schedule that goes on past its last step."
        yield Finding("impossible", message, likelier, {"lr": lowest}, steps)


def _rows(segment: Segment) -> RowArray:
    """The rows to compare."""
    rows: RowArray = np.flatnonzero(np.isfinite(segment["lr"]))
    chosen: RowArray = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(int))]
    return chosen


def _by_config(log: AuditedLog, segment: Segment) -> Iterator[Finding]:
    config, total = segment.claims.config, segment.claims.total_steps
    if config is None or total is None:
        return
    train, peak, per_step = config.train, config.optim.lr, config.tokens_per_step
    # As the engine has it: a token budget that ends the run counts tokens instead of steps.
    by_tokens = train.token_budget is not None and total != train.max_steps and segment.has("tokens")
    counted, tokens = log.history.steps.series("tokens")

    def expected(step: int, after: float) -> float:
        if not by_tokens or not np.isfinite(after):
            return peak * lr_factor(step - 1, config.schedule, total)
        warmup = float(np.interp(config.schedule.warmup_steps, [0.0, *counted], [0.0, *tokens]))
        at = TokenPosition(int(after), int(warmup), int(after + max(total - step, 0) * per_step), per_step)
        return peak * lr_factor(step - 1, config.schedule, total, at)

    yield from _compare(segment, expected, peak, TOLERANCE, config.schedule.name)


def _compare(
    segment: Segment, expected: Callable[[int, float], float], peak: float, tolerance: float, name: str
) -> Iterator[Finding]:
    rows, tokens, rates = _rows(segment), segment["tokens"], segment["lr"]
    steps = segment["step"][rows].astype(int)
    wanted = np.array([expected(int(step), float(tokens[row])) for step, row in zip(steps, rows, strict=True)])
    wrong = np.flatnonzero(np.abs(rates[rows] - wanted) > tolerance * peak)
    if not len(wrong):
        return
    at = wrong[np.argmax(np.abs(rates[rows] - wanted)[wrong])]
    stated, right = float(rates[rows[at]]), float(wanted[at])
    where = (int(steps[wrong[0]]), int(steps[wrong[-1]]))
    difference = f": {comparison(stated, right)}" if stated > 0 and right > 0 else ""
    message = (
        f"At step {steps[at]:,} the learning rate is {units.scientific(stated)}, but the {name} schedule to "
        f"{units.scientific(peak)} that the configuration claims gives {units.scientific(right)}{difference} "
        f"({len(wrong):,} of {len(rows):,} records that were compared, {steps_text(where)})."
    )
    likelier = "Likelier: what was logged; the configuration is of another run, or was changed."
    severity: Severity = "impossible" if segment.claims.is_exact else "suspicious"
    yield Finding(severity, message, likelier, {"lr": stated, "by_schedule": right}, where)


def _by_settings(segment: Segment, peak: float) -> Iterator[Finding]:
    """Of another tool: the peak, and the curve where its name, warmup and length are known."""
    settings, rates = segment.claims.settings, segment["lr"]
    rows = _rows(segment)
    highest = float(rates[np.isfinite(rates)].max())
    values = {"lr": highest, "configured": peak}
    if highest > peak * (1 + OTHER_TOOLS):
        message = f"The learning rate reaches {units.scientific(highest)}, but the configuration has {units.scientific(peak)} as its peak: {comparison(highest, peak)}."  # noqa: E501
        yield Finding("suspicious", message, "", values)
        return
    still_rising = rates[rows[-1]] >= highest * (1 - 1e-9) and rates[rows[0]] < highest
    if 0 < highest < peak * (1 - OTHER_TOOLS) and not still_rising and segment["step"][rows[0]] <= len(rows):
        message = f"The learning rate never exceeds {units.scientific(highest)}, but the configuration has {units.scientific(peak)} as its peak: {comparison(highest, peak)}."  # noqa: E501
        yield Finding("suspicious", message, "", values)
        return
    name = _SCHEDULES.get(str(settings.get("schedule")).lower())
    total = whole(settings.get("decay_steps")) or segment.claims.total_steps
    if name is None or total is None or "warmup_steps" not in settings:
        return
    schedule: Schedule = _Settings(
        name, whole(settings["warmup_steps"]) or 0, min((positive(settings.get("min_lr")) or 0.0) / peak, 1.0)
    )
    found = []
    for offset in _OFFSETS:
        curve = _curve(schedule, peak, total, offset)
        outcome = list(_compare(segment, curve, peak, OTHER_TOOLS, name))
        if not outcome:
            return
        found.append(outcome)
    yield from found[0]


def _curve(schedule: Schedule, peak: float, total: int, offset: int) -> Callable[[int, float], float]:
    def expected(step: int, after: float) -> float:
        return peak * lr_factor(max(step - 1 + offset, 0), schedule, total)

    return expected
