"""The processes of a run: their ranks, and the collectives outside of the model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tuitrain.config import ConfigError

WAIT_LIMIT = timedelta(minutes=30)
"""How long a process waits for the others outside of steps and in the first one: some may compile, or read slowly."""


@dataclass(frozen=True)
class World:
    """The processes of a run: this one is number `rank` of `size`, and `local_rank` of `local_size` on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    host_group: dist.ProcessGroup | None = None
    """All processes, on their CPUs."""
    saving_group: dist.ProcessGroup | None = None
    """A second group for the thread that writes checkpoints: two threads must not share one."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the log and the console."""
        return self.rank == 0

    @property
    def nodes(self) -> int:
        """Machines that train together."""
        return self.size // self.local_size

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, of any shape; on the device, without waiting for it."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, values: Tensor) -> Tensor:
        """The vectors (n,) of all processes as (size, n); on the device, without waiting for it."""
        if self.size == 1:
            return values.unsqueeze(0)
        gathered = values.new_zeros(self.size, len(values))
        gathered[self.rank] = values
        dist.all_reduce(gathered)
        return gathered

    def wait(self) -> None:
        """Wait until every process is here; the device continues its work."""
        if self.size > 1:
            dist.barrier(group=self.host_group)

    def broadcast_int(self, value: int) -> int:
        """The main process's value: for choices on which processes could differ by rounding."""
        if self.size == 1:
            return value
        chosen = torch.tensor(value)
        dist.broadcast(chosen, src=0, group=self.host_group)
        return int(chosen)

    def broadcast_object(self, value: Any) -> Any:
        """The main process's object, small and made of plain values, on every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.host_group)
        return box[0]


def join_world(device_choice: str) -> World:
    """Join the process group that torchrun started, if any; `device_choice` is train.device.

    Raises ConfigError when this machine has fewer GPUs than processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    if device_choice != "cpu" and torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"{os.environ['LOCAL_WORLD_SIZE']} processes were started on a machine with "
                f"{torch.cuda.device_count()} GPUs: start one for each GPU (--gpus), or set train.device=cpu."
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=WAIT_LIMIT, device_id=device)
    else:
        dist.init_process_group("gloo", timeout=WAIT_LIMIT)
    host, saving = (dist.new_group(backend="gloo", timeout=WAIT_LIMIT) for _ in range(2))
    return World(rank, size, local_rank, int(os.environ["LOCAL_WORLD_SIZE"]), host, saving)


def leave_world(world: World) -> None:
    """Leave the process group at the end."""
    if world.size > 1 and dist.is_initialized():
        dist.destroy_process_group()
