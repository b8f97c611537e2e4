"""The strategy and micro-batch of a run under auto, and settings with which a run fits that does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tuitrain.accounting.memory import USABLE, Devices, estimate_memory

if TYPE_CHECKING:
    from tuitrain.config import RunConfig

GB = 1e9
LARGEST_MICRO_BATCH = {"cuda": 4096, "cpu": 16}
"""Largest micro-batch that auto chooses: on a CPU a larger one makes a step no faster."""
LESS = 0.9
"""A change of settings must reduce the memory to this share: estimates are no more exact than that."""


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

    @property
    def keys(self) -> set[str]:
        """The keys and options that it sets."""
        return {re.split("[= ]", setting)[0] for setting in self.settings}


def size_text(size: float) -> str:
    """Bytes as `61.2 GB`, `0.48 GB`, or in MB where that would be less than 0.1 GB."""
    if size < 1e8:
        return f"{size / 1e6:.1f} MB"
    return f"{size / GB:.1f} GB" if size >= 1e10 else f"{size / GB:.2f} GB"


def choose_strategy(config: RunConfig, devices: Devices) -> tuple[str, str]:
    """The strategy of a run, and why: parallel.strategy, or what auto stands for.

    Under auto one process is single; else it is the first of ddp, zero1, hsdp (on several nodes) and fsdp whose
    estimate is within usable_bytes; fsdp when none is, ddp when the memory is unknown. Raises ValueError if vocab_size
    is needed and unset.
    """
    if config.parallel.strategy != "auto":
        return config.parallel.strategy, f"parallel.strategy = {config.parallel.strategy}"
    if devices.count == 1:
        return "single", "one process"
    usable = devices.usable_bytes
    if usable is None:
        return "ddp", "the device's memory is unknown"
    each = f"of {size_text(usable)} usable by each process"
    tried = []
    for strategy in ("ddp", "zero1", "hsdp", "fsdp") if devices.nodes > 1 else ("ddp", "zero1", "fsdp"):
        needed = _bytes_with(config, {"parallel.strategy": strategy}, devices)
        tried.append(f"{strategy} needs {size_text(needed)}")
        if needed <= usable:
            return strategy, f"{', '.join(tried)} {each}"
    return "fsdp", f"none fits: {', '.join(tried)} {each}"


def choose_micro_batch(config: RunConfig, devices: Devices) -> tuple[int, str]:
    """The micro-batch that auto chooses, and why. devices: of known memory.

    The largest that divides the batch of a process and whose estimate is within usable_bytes, at most
    LARGEST_MICRO_BATCH; 1 when none is. parallel.strategy = auto is what it would be for one sequence, since a larger
    micro-batch is worth less than what sharding costs. Raises ValueError if vocab_size is unset.
    """
    assert devices.process_bytes is not None and devices.usable_bytes is not None
    strategy, _ = choose_strategy(config.with_least_micro_batch(), devices)
    most, batch = LARGEST_MICRO_BATCH[devices.type], config.train.global_batch_size
    share = f"{USABLE:.0%} of {size_text(devices.process_bytes)}".replace("%", " %")
    for size in range(min(most, batch), 0, -1):
        if batch % (size * devices.count):
            continue
        needed = _bytes_with(config, {"parallel.strategy": strategy, "train.micro_batch_size": size}, devices)
        if needed <= devices.usable_bytes:
            limit = f" up to {most}" if devices.type == "cpu" else ""
            return size, f"the largest{limit} that fits {share} (estimate {size_text(needed)})"
    return 1, f"not even one sequence fits {share}"


def fitting_changes(config: RunConfig, devices: Devices) -> list[Change]:
    """Changes that bring the estimate within usable_bytes, cheapest in speed first; each saves a tenth or more.

    Where the estimate says that the run fits, but memory ran out, they are those that save as much. A change that only
    adds settings to another is left out, and so are all but the largest micro-batch that fits. devices: of known
    memory. Raises ValueError if vocab_size is unset.
    """
    strategy, _ = choose_strategy(config, devices)
    config = config.with_values({"parallel.strategy": strategy})
    now = _bytes_with(config, {}, devices)
    fitting: list[Change] = []
    for values, processes in _candidates(config, devices):
        changed = replace(devices, count=processes)
        needed, usable = _bytes_with(config, values, changed), changed.usable_bytes
        assert usable is not None
        more = [f"--gpus {processes}"] if processes != devices.count else []
        change = Change((*more, *(f"{key}={value}" for key, value in values.items())), needed)
        if needed <= min(usable, LESS * now) and not any(known.keys <= change.keys for known in fitting):
            fitting.append(change)
    return fitting


def fitting_sentence(config: RunConfig, devices: Devices) -> str:
    """The first three fitting changes as part of a sentence; empty when nothing would fit.

    Such as `train.micro_batch_size=4 (61.2 GB) or parallel.activation_checkpointing=selective (70.4 GB)`.
    """
    changes = [str(change) for change in fitting_changes(config, devices)[:3]]
    return " or ".join(filter(None, [", ".join(changes[:-1]), *changes[-1:]]))


def _candidates(config: RunConfig, devices: Devices) -> Iterator[tuple[dict[str, Any], int]]:
    """Changes in the order of what they cost in speed, with the number of processes.

    Smaller micro-batches cost little while they fill the device, selective checkpointing some percent, sharding what
    the network costs, full checkpointing about a third of the forward pass's FLOPs again.
    """
    # Smaller micro-batches that divide the configured one, and so any batch that it divides.
    micro, count = config.train.micro_batch, devices.count
    smaller = [{"train.micro_batch_size": size} for size in range(micro // 2, 0, -1) if micro % size == 0]
    modes = ("none", "selective", "full")
    recompute = _after("parallel.activation_checkpointing", modes, config.parallel.activation_checkpointing)
    shard = _after("parallel.strategy", ("ddp", "zero1", "fsdp"), config.parallel.strategy) if count > 1 else []

    for values in [*smaller[:1], *recompute[:1], *shard, *smaller[1:], *recompute[1:]]:
        yield values, count
    for size in smaller:
        for mode in recompute:
            yield size | mode, count
    for sharded in shard:
        for mode in recompute:
            yield sharded | mode, count
            if smaller:
                yield sharded | mode | smaller[-1], count
    if devices.type == "cpu":
        # More processes would share the same memory.
        return
    for processes in (2, 4, 8, 16, 32, 64):
        if processes > count and config.train.global_batch_size % (micro * processes) == 0:
            for mode in ({}, *recompute):
                yield {"parallel.strategy": "fsdp", **mode}, processes


def _after(key: str, order: tuple[str, ...], now: str) -> list[dict[str, Any]]:
    """A change of a key to each of the values that come after the present one in this order."""
    return [{key: value} for value in order[order.index(now) + 1 :]] if now in order else []


def _bytes_with(config: RunConfig, values: dict[str, Any], devices: Devices) -> int:
    """The estimate with these values in place of the configuration's."""
    return estimate_memory(config.with_values(values), devices).total
