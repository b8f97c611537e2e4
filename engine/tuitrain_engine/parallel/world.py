"""Which processes train together, and which of them this is."""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.config import ConfigError
from tuitrain.config.sections import ParallelConfig
from tuitrain_engine.decision import Decision


@dataclass(frozen=True)
class World:
    """The processes of a run: this one is number `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes the log and the console."""
        return self.rank == 0


def decide_strategy(parallel: ParallelConfig, world: World) -> Decision:
    """The strategy for this many processes. Raises ConfigError when it cannot be done."""
    if parallel.strategy not in ("auto", "single"):
        raise ConfigError(
            f"parallel.strategy = {parallel.strategy!r} needs several processes, and this run has {world.size}: "
            "set it to 'auto' or 'single'."
        )
    if parallel.activation_checkpointing != "none":
        raise ConfigError(
            f"parallel.activation_checkpointing = {parallel.activation_checkpointing!r} is not available on "
            "one process yet: set it to 'none'."
        )
    return Decision("strategy", "single", "one process")
