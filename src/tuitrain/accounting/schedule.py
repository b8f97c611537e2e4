"""The learning rate as a share of its peak, a pure function of the step, or of the tokens of a token budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tuitrain.config import RunConfig


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
    """The position of a step in a token budget, in tokens: the decay follows the tokens, also when the number of tokens
    in a step changes during the run."""

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
    at = tokens or _in_steps(step + 1, schedule, total_steps)
    first = _decay_start(schedule, at)
    # Share of the decay that is done: 0 just before its first step, 1 at the last step of the run.
    progress = min(max((at.after - first) / max(at.total - first, at.per_step), 0.0), 1.0)
    if schedule.name == "constant":
        return 1.0
    remaining = (1 + math.cos(math.pi * progress)) / 2 if schedule.name == "cosine" else 1 - progress
    return schedule.min_lr_ratio + (1 - schedule.min_lr_ratio) * remaining


def _in_steps(after: int, schedule: Schedule, total_steps: int) -> TokenPosition:
    """A position among steps, as if each were one token."""
    return TokenPosition(after, schedule.warmup_steps, total_steps, 1)


def _decay_start(schedule: Schedule, at: TokenPosition) -> int:
    """The position at which the decay begins: after warmup and, for wsd, after the steps at the peak."""
    if schedule.name != "wsd":
        return at.warmup
    return max(at.warmup, at.total - round(schedule.decay_fraction * at.total / at.per_step) * at.per_step)


def schedule_text(config: RunConfig, total_steps: int) -> str:
    """The course of the learning rate over the steps of a run, with its peak and final value."""
    schedule, lr = config.schedule, config.optim.lr
    last = lr * lr_factor(total_steps - 1, schedule, total_steps)
    if schedule.warmup_steps >= total_steps:
        return f"{schedule.name}, of which only the warmup happens: it ends at {last:g} in step {total_steps:,}"
    start = f"{schedule.name}, warmup {schedule.warmup_steps:,} steps to {lr:g}"
    if schedule.name == "constant":
        return start
    decay = _decay_start(schedule, _in_steps(0, schedule, total_steps))
    stays = f", stays until step {decay:,}" if schedule.name == "wsd" else ""
    return f"{start}{stays}, ends at {last:g}"


def schedule_warnings(config: RunConfig, total_steps: int) -> list[str]:
    """A sentence for each part of the schedule that the run is too short for."""
    schedule, lr = config.schedule, config.optim.lr
    if schedule.warmup_steps >= total_steps:
        reached = lr * lr_factor(total_steps - 1, schedule, total_steps)
        return [
            f"schedule.warmup_steps ({schedule.warmup_steps:,}) leaves none of the run's {total_steps:,} steps after "
            f"it: the learning rate rises until the end, to {reached:g} of optim.lr = {lr:g}, and never decays."
        ]
    if schedule.name != "wsd":
        return []
    decay_steps = round(schedule.decay_fraction * total_steps)
    left = total_steps - _decay_start(schedule, _in_steps(0, schedule, total_steps))
    if decay_steps == 0:
        return [
            f"schedule.decay_fraction ({schedule.decay_fraction:g}) of {total_steps:,} steps is less than one step: "
            "the learning rate never decays."
        ]
    if left < decay_steps:
        return [
            f"schedule.warmup_steps ({schedule.warmup_steps:,}) leaves {left:,} of the {decay_steps:,} steps in which "
            f"wsd decays (schedule.decay_fraction = {schedule.decay_fraction:g} of {total_steps:,} steps)."
        ]
    return []
