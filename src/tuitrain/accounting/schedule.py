"""The learning rate as a share of its peak, a pure function of the step."""

from __future__ import annotations

import math
from typing import Protocol


class Schedule(Protocol):
    """The section `schedule` of a config."""

    @property
    def name(self) -> str: ...
    @property
    def warmup_steps(self) -> int: ...
    @property
    def min_lr_ratio(self) -> float: ...
    @property
    def decay_fraction(self) -> float: ...


def lr_factor(step: int, schedule: Schedule, total_steps: int) -> float:
    """Learning rate of a step (0-based) divided by the peak.

    Warmup rises linearly to 1 at step warmup_steps - 1 and is never 0. After it: cosine and linear fall to
    min_lr_ratio at the last step, constant stays, wsd stays and falls linearly in the last decay_fraction of all steps.
    Past total_steps the last value holds.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    first = schedule.warmup_steps
    if schedule.name == "wsd":
        first = max(first, total_steps - round(schedule.decay_fraction * total_steps))
    # Share of the decay that is done: 0 just before its first step, 1 at the last step of the run.
    progress = min(max((step - first + 1) / max(total_steps - first, 1), 0.0), 1.0)
    if schedule.name == "constant":
        return 1.0
    remaining = (1 + math.cos(math.pi * progress)) / 2 if schedule.name == "cosine" else 1 - progress
    return schedule.min_lr_ratio + (1 - schedule.min_lr_ratio) * remaining
