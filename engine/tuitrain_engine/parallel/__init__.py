"""How one model becomes a faster or a distributed one: activation checkpointing, compilation, shards, copies."""

from tuitrain_engine.parallel.compile import compile_parts, decide_compile
from tuitrain_engine.parallel.recompute import decide_recompute, recompute_blocks
from tuitrain_engine.parallel.strategy import Distribution, decide_strategy
from tuitrain_engine.parallel.world import World, join_world, leave_world

__all__ = [
    "Distribution",
    "World",
    "compile_parts",
    "decide_compile",
    "decide_recompute",
    "decide_strategy",
    "join_world",
    "leave_world",
    "recompute_blocks",
]
