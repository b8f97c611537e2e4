"""The learning rate as a share of its peak, a pure function of the step, or of the tokens of a token budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
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


@dataclass(frozen=True)
class TokenPosition:
    """Where a step of a token budget lies, in tokens: the decay then follows the tokens, also when their number in a
    step changes on the way."""

    after: int
    """Trained once the step is done."""
    warmup: int
    """Trained in the warmup steps."""
    total: int
    """Of the whole run."""
    per_step: int
    """Of this step."""


def lr_factor(step: int, schedule: Schedule, total_steps: int, tokens: TokenPosition | None = None) -> float:
    """Learning rate of a step (0-based) divided by the peak.

    Warmup rises linearly to 1 at step warmup_steps - 1 and is never 0. After it: cosine and linear fall to
    min_lr_ratio at the last step, constant stays, wsd stays and falls linearly in the last decay_fraction of all steps.
    Past total_steps the last value holds. tokens: for a run that ends with its token budget; without, steps count.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    at = tokens or TokenPosition(step + 1, schedule.warmup_steps, total_steps, 1)
    first = at.warmup
    if schedule.name == "wsd":
        first = max(first, at.total - round(schedule.decay_fraction * at.total / at.per_step) * at.per_step)
    # Share of the decay that is done: 0 just before its first step, 1 at the last step of the run.
    progress = min(max((at.after - first) / max(at.total - first, at.per_step), 0.0), 1.0)
    if schedule.name == "constant":
        return 1.0
    remaining = (1 + math.cos(math.pi * progress)) / 2 if schedule.name == "cosine" else 1 - progress
    return schedule.min_lr_ratio + (1 - schedule.min_lr_ratio) * remaining
