"""The strategy and micro-batch of a run under auto, and settings with which a run fits that does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuitrain.accounting.memory import estimate_memory

if TYPE_CHECKING:
    from tuitrain.config import RunConfig

GB = 1e9
USABLE = 0.9
"""Share of the memory that an estimate may fill: CUDA, NCCL and fragmentation use the rest of a GPU's, the operating
system and other programs the rest of a machine's."""
LARGEST_MICRO_BATCH = {"cuda": 4096, "cpu": 16}
"""Largest micro-batch that auto chooses: on a CPU a larger one makes a step no faster."""
LESS = 0.9
"""A change of settings must reduce the memory to this share: estimates are no more exact than that."""


def capacity_per_process(capacity_bytes: float, world_size: int, nodes: int, device_type: str) -> float:
    """Memory of one process: a GPU's own, and its share of the machine's where it trains on the CPU."""
    return capacity_bytes / max(world_size // nodes, 1) if device_type == "cpu" else capacity_bytes


def usable_bytes(capacity_bytes: float) -> float:
    """The bytes that an estimate may fill, of a GPU or of a process's share of a machine."""
    return USABLE * capacity_bytes


@dataclass(frozen=True)
class Change:
    """Settings that need less memory, and the bytes per device of a step with them."""

    settings: tuple[str, ...]
    bytes: int

    @property
    def more_gpus(self) -> bool:
        """Whether it needs more GPUs than the run has."""
        return self.settings[0].startswith("--gpus ")

    def __str__(self) -> str:
        """As on a command line, such as `--gpus 4 parallel.strategy=fsdp (61.2 GB)`."""
        return f"{' '.join(self.settings)} ({size_text(self.bytes)})"


def choose_strategy(
    config: RunConfig, dtype: str, world_size: int, nodes: int, device_type: str, capacity_bytes: float | None
) -> tuple[str, str]:
    """The strategy of a run, and why: parallel.strategy, or what auto stands for.

    Under auto one process is single; else it is the first of ddp, zero1, hsdp (on several nodes) and fsdp whose
    estimate is within usable_bytes; fsdp when none is, ddp when the memory is unknown. capacity_bytes is the memory of
    a device, which on the CPU its processes share. Raises ValueError if vocab_size is needed and unset.
    """
    if config.parallel.strategy != "auto":
        return config.parallel.strategy, f"parallel.strategy = {config.parallel.strategy}"
    if world_size == 1:
        return "single", "one process"
    if capacity_bytes is None:
        return "ddp", "the device's memory is unknown"
    usable = usable_bytes(capacity_per_process(capacity_bytes, world_size, nodes, device_type))
    each = f"of {size_text(usable)} usable by each process"
    tried = []
    for strategy in ("ddp", "zero1", "hsdp", "fsdp") if nodes > 1 else ("ddp", "zero1", "fsdp"):
        needed = _estimate(_with(config, {"parallel.strategy": strategy}), dtype, world_size, device_type, nodes)
        tried.append(f"{strategy} needs {size_text(needed)}")
        if needed <= usable:
            return strategy, f"{', '.join(tried)} {each}"
    return "fsdp", f"none fits: {', '.join(tried)} {each}"


def choose_micro_batch(
    config: RunConfig, dtype: str, world_size: int, nodes: int, device_type: str, capacity_bytes: float
) -> tuple[int, str]:
    """The micro-batch that auto chooses, and why.

    The largest that divides the batch of a process and whose estimate is within usable_bytes, at most
    LARGEST_MICRO_BATCH; 1 when none is. parallel.strategy = auto is what it would be for one sequence, since a larger
    micro-batch is worth less than what sharding costs. Raises ValueError if vocab_size is unset.
    """
    one = config.with_least_micro_batch()
    strategy, _ = choose_strategy(one, dtype, world_size, nodes, device_type, capacity_bytes)
    config = _with(config, {"parallel.strategy": strategy})
    capacity = capacity_per_process(capacity_bytes, world_size, nodes, device_type)
    most, share = LARGEST_MICRO_BATCH[device_type], f"{USABLE:.0%} of {size_text(capacity)}".replace("%", " %")
    for size in range(min(most, config.train.global_batch_size), 0, -1):
        if config.train.global_batch_size % (size * world_size):
            continue
        needed = _estimate(_with(config, {"train.micro_batch_size": size}), dtype, world_size, device_type, nodes)
        if needed <= usable_bytes(capacity):
            limit = f" up to {most}" if device_type == "cpu" else ""
            return size, f"the largest{limit} that fits {share} (estimate {size_text(needed)})"
    return 1, f"not even one sequence fits {share}"


def size_text(size: float) -> str:
    """Bytes as `61.2 GB`, `0.48 GB`, or in MB where that would be less than 0.1 GB."""
    if size < 1e8:
        return f"{size / 1e6:.1f} MB"
    return f"{size / GB:.1f} GB" if size >= 1e10 else f"{size / GB:.2f} GB"


def fitting_changes(
    config: RunConfig,
    dtype: str,
    world_size: int,
    device_type: str,
    capacity_bytes: float,
    nodes: int = 1,
) -> list[Change]:
    """Changes that bring the estimate within usable_bytes, cheapest in speed first; each saves a tenth or more.

    Where the estimate says that the run fits, but memory ran out, they are those that save as much. Raises ValueError
    if vocab_size is unset.
    """
    chosen, _ = choose_strategy(config, dtype, world_size, nodes, device_type, capacity_bytes)
    config = _with(config, {"parallel.strategy": chosen})
    now = _estimate(config, dtype, world_size, device_type, nodes)
    fitting = []
    for change, processes in _candidates(config, world_size, device_type):
        needed = _estimate(_with(config, change), dtype, processes, device_type, nodes)
        usable = usable_bytes(capacity_per_process(capacity_bytes, processes, nodes, device_type))
        if needed <= min(usable, LESS * now):
            more = [f"--gpus {processes}"] if processes != world_size else []
            fitting.append(Change((*more, *(f"{key}={value}" for key, value in change.items())), needed))
    return _without_supersets(fitting)


def fitting_sentence(
    config: RunConfig,
    dtype: str,
    world_size: int,
    device_type: str,
    capacity_bytes: float,
    nodes: int = 1,
    most: int = 3,
) -> str:
    """The first few fitting changes as part of a sentence; empty when nothing would fit.

    Such as `train.micro_batch_size=4 (61.2 GB) or parallel.activation_checkpointing=selective (70.4 GB)`.
    """
    changes = fitting_changes(config, dtype, world_size, device_type, capacity_bytes, nodes)[:most]
    *others, last = [str(change) for change in changes] or [""]
    return f"{', '.join(others)} or {last}" if others else last


def _candidates(config: RunConfig, world_size: int, device_type: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Changes in the order of what they cost in speed, with the number of processes.

    Smaller micro-batches cost little while they fill the device, selective checkpointing some percent, sharding what
    the network costs, full checkpointing about a third of the forward pass's FLOPs again.
    """
    smaller: list[dict[str, Any]] = [{"train.micro_batch_size": size} for size in _smaller_micro_batches(config)]
    modes = ("none", "selective", "full")
    at = modes.index(config.parallel.activation_checkpointing)
    selective, full = ([{"parallel.activation_checkpointing": mode}] for mode in ("selective", "full"))
    recompute: list[dict[str, Any]] = [*(selective if at < 1 else []), *(full if at < 2 else [])]
    order = ("single", "ddp", "zero1", "fsdp")
    at = order.index(config.parallel.strategy) if config.parallel.strategy in order else len(order)
    shard: list[dict[str, Any]] = [{"parallel.strategy": name} for name in order[max(at + 1, 2) :] if world_size > 1]

    yield from ((change, world_size) for change in [*smaller[:1], *recompute[:1], *shard, *smaller[1:], *recompute[1:]])
    for size in smaller:
        for mode in recompute:
            yield size | mode, world_size
    for sharded in shard:
        for mode in recompute:
            yield sharded | mode, world_size
            if smaller:
                yield sharded | mode | smaller[-1], world_size
    if device_type == "cpu":
        # More processes would share the same memory.
        return
    for processes in (2, 4, 8, 16, 32, 64):
        if processes > world_size and config.train.global_batch_size % (config.train.micro_batch * processes) == 0:
            for mode in ({}, *recompute):
                yield {"parallel.strategy": "fsdp", **mode}, processes


def _smaller_micro_batches(config: RunConfig) -> list[int]:
    """Smaller micro-batches that divide the configured one, and so any batch it divides; largest first."""
    now = config.train.micro_batch
    return [size for size in range(now // 2, 0, -1) if now % size == 0]


def _without_supersets(changes: list[Change]) -> list[Change]:
    """The changes, without those that only add settings to another, and with only the largest micro-batch that fits."""
    kept: list[Change] = []
    for change in changes:
        if not any(_keys(known) <= _keys(change) for known in kept):
            kept.append(change)
    return kept


def _keys(change: Change) -> set[str]:
    return {re.split("[= ]", setting)[0] for setting in change.settings}


def _with(config: RunConfig, change: dict[str, Any]) -> RunConfig:
    for key, value in change.items():
        section, _, name = key.partition(".")
        config = config.model_copy(update={section: getattr(config, section).model_copy(update={name: value})})
    return config


def _estimate(config: RunConfig, dtype: str, world_size: int, device_type: str, nodes: int) -> int:
    return estimate_memory(config, dtype=dtype, world_size=world_size, device_type=device_type, nodes=nodes).total
