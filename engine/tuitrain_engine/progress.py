"""Progress and goal of a run; with the tensors, the whole state that a resume needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tuitrain.accounting import TokenPosition, lr_factor
from tuitrain.config import RunConfig
from tuitrain_engine.parallel import World


@dataclass
class Progress:
    """Steps done, tokens and sequences read by all processes; sequences is the data position.

    warmup_tokens are those of the warmup steps that are done.
    """

    step: int = 0
    tokens: int = 0
    sequences: int = 0
    warmup_tokens: int = 0

    def to_state(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any], config: dict[str, Any]) -> Progress:
        """The inverse of `to_state`; `config` is the configuration at that time.

        An older version left warmup_tokens out, when all steps were of one size, and had totals, which the log has.
        """
        progress = cls(**{key: value for key, value in state.items() if key != "totals"})
        if "warmup_tokens" not in state:
            per_step = progress.tokens // max(progress.step, 1)
            progress.warmup_tokens = min(progress.step, config["schedule"]["warmup_steps"]) * per_step
        return progress


@dataclass(frozen=True)
class Goal:
    """The goal of a run, computed where an attempt begins, since earlier steps may have had other sizes."""

    steps: int
    """All optimizer steps of the run, those done included."""
    tokens: int
    """All tokens that the run will have been trained on."""
    by_tokens: bool
    """Whether its token budget ends the run, and not train.max_steps."""

    @classmethod
    def of(cls, config: RunConfig, progress: Progress) -> Goal:
        """The goal of a run with this progress."""
        train, steps = config.train, config.total_steps_from(progress.step, progress.tokens)
        tokens = progress.tokens + max(steps - progress.step, 0) * config.tokens_per_step
        return cls(steps, tokens, train.token_budget is not None and steps != train.max_steps)

    def lr_factor(self, config: RunConfig, progress: Progress) -> float:
        """Learning rate of the next step divided by its peak: the decay follows the limit that ends the run."""
        per_step = config.tokens_per_step
        position = TokenPosition(progress.tokens + per_step, progress.warmup_tokens, self.tokens, per_step)
        return lr_factor(progress.step, config.schedule, self.steps, position if self.by_tokens else None)


def due(step: int, interval: int, last: bool = False) -> bool:
    """Whether something done every `interval` steps is due; 0 is never."""
    return interval > 0 and (step % interval == 0 or last)


def batches_of(config: RunConfig, step: int) -> int:
    """How many batches of the data a step takes: a second one where it passes over the first."""
    return 1 + (step in config.train.skip_steps)


def batch_positions(config: RunConfig, progress: Progress, goal: Goal, world: World) -> Iterator[tuple[int, int]]:
    """First sequence and count of each micro-batch this process reads, from where the run stands to its end."""
    micro, batch = config.train.micro_batch, config.train.global_batch_size
    first = progress.sequences - batch
    for step in range(progress.step + 1, goal.steps + 1):
        first += batch * batches_of(config, step)
        for index in range(config.accumulation(world.size)):
            yield first + (index * world.size + world.rank) * micro, micro
