"""How many processes a run gets: one for each GPU over which the batch divides."""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.config import RunConfig
from tuitrain.config.requirements import check_processes
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.machine import Machine, training_device


@dataclass(frozen=True)
class Processes:
    """Their number, and a sentence where it is fewer than there are GPUs."""

    count: int
    note: str | None = None


def choose_processes(config: RunConfig, machine: Machine, requested: int | None) -> Processes:
    """The number requested, else as many as there are GPUs and the batch divides over; one on the CPU.

    Raises LaunchError when there are too few GPUs, ConfigError when batch or strategy do not suit the number.
    """
    gpus = None if training_device(config, machine).kind == "cpu" else len(machine.gpus)
    if requested is not None and gpus is not None and requested > gpus:
        available = "one GPU" if gpus == 1 else f"{gpus} GPUs"
        raise LaunchError(
            f"--gpus {requested}, but this machine has {available} to use: --gpus {gpus}, or train.device=cpu for "
            "processes on the CPU.",
            key="gpus",
        )
    if requested is not None:
        count = requested
    elif gpus is None or config.parallel.strategy == "single":
        count = 1
    else:
        count = max(config.process_counts(gpus), default=1)
    check_processes(config, count)
    if requested is not None or gpus is None or count == gpus or config.parallel.strategy == "single":
        return Processes(count)
    train = config.with_least_micro_batch().train
    return Processes(
        count,
        f"{count} of {gpus} GPUs are used: train.global_batch_size ({train.global_batch_size}) is no multiple of "
        f"train.micro_batch_size × processes ({train.micro_batch} × {gpus}).",
    )
