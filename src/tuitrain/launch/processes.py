"""How many processes a run gets, one for each GPU, and whether the strategy and the batch go with that number."""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.accounting import shard_count
from tuitrain.config import RunConfig
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.machine import Machine, training_device


@dataclass(frozen=True)
class Processes:
    """Their number, and a sentence where it is fewer than there are GPUs."""

    count: int
    note: str | None = None


def choose_processes(config: RunConfig, machine: Machine, asked: int | None) -> Processes:
    """The number asked for, else as many as there are GPUs and the batch divides over; one on the CPU.

    Raises LaunchError when the GPUs, the batch or the strategy do not go with it.
    """
    on_cpu = training_device(config, machine).kind == "cpu"
    there = None if on_cpu else len(machine.gpus)
    if asked is not None:
        if there is not None and asked > there:
            gpus = "one GPU" if there == 1 else f"{there} GPUs"
            raise LaunchError(
                f"--gpus {asked}, but this machine has {gpus} to use: --gpus {there}, or train.device=cpu for "
                "processes on the CPU."
            )
        check_processes(config, asked)
        return Processes(asked)
    if there is None or config.parallel.strategy == "single":
        check_processes(config, 1)
        return Processes(1)
    count = max(dividing_counts(config, there), default=1)
    check_processes(config, count)
    if count == there:
        return Processes(count)
    train = config.with_least_micro_batch().train
    return Processes(
        count,
        f"{count} of {there} GPUs are used: train.global_batch_size ({train.global_batch_size}) is no multiple of "
        f"train.micro_batch_size × processes ({train.micro_batch} × {there}).",
    )


def dividing_counts(config: RunConfig, most: int) -> list[int]:
    """Numbers of processes up to `most` over which the global batch divides."""
    train = config.with_least_micro_batch().train
    passes = train.global_batch_size // train.micro_batch
    return [count for count in range(1, most + 1) if passes % count == 0]


def check_processes(config: RunConfig, count: int) -> None:
    """Raise LaunchError unless batch and strategy go with this many processes."""
    _check_batch(config, count)
    _check_strategy(config, count)


def _check_batch(config: RunConfig, count: int) -> None:
    train = config.with_least_micro_batch().train
    if train.global_batch_size % (train.micro_batch * count) == 0:
        return
    works = [f"--gpus {number}" for number in dividing_counts(config, count) if number > 1][-2:]
    sizes = [size for size in range(train.micro_batch - 1, 0, -1) if train.global_batch_size % (size * count) == 0]
    if sizes:
        works.append(f"train.micro_batch_size={sizes[0]}")
    else:
        # The nearest larger batch that divides.
        per_pass = train.micro_batch * count
        works.append(f"train.global_batch_size={-(-train.global_batch_size // per_pass) * per_pass}")
    raise LaunchError(
        f"train.global_batch_size ({train.global_batch_size}) must be a multiple of train.micro_batch_size × processes "
        f"({train.micro_batch} × {count}); this would work: {', '.join(works)}."
    )


def _check_strategy(config: RunConfig, count: int) -> None:
    strategy = config.parallel.strategy
    if strategy == "single" and count > 1:
        raise LaunchError(
            f"parallel.strategy = 'single' is one process, not {count}: set it to 'auto' (--strategy auto), or leave "
            "out --gpus."
        )
    if strategy not in ("auto", "single") and count == 1:
        raise LaunchError(
            f"parallel.strategy = {strategy!r} needs several processes, and this run has one: set it to 'auto' "
            "(--strategy auto), or start it with --gpus 2 or more."
        )
    if strategy == "hsdp" and count % shard_count(config.parallel, count):
        sizes = [str(size) for size in range(2, count + 1) if count % size == 0]
        raise LaunchError(
            f"parallel.shard_size = {config.parallel.shard_size} must divide the number of processes ({count}): "
            f"{', '.join(sizes)} would."
        )
