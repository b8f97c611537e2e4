"""Data that must be read in one order is read by rank 0 and sent to the other ranks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from tuitrain_engine.data.errors import DataError, ReadingStopped
from tuitrain_engine.data.prefetch import Batch, Split

_LONG = timedelta(days=7)
"""The others wait while rank 0 evaluates or opens a stream again; torchrun detects a dead rank 0."""


def world() -> tuple[int, int]:
    """Rank of this process and number of processes; (0, 1) where torch.distributed is not initialised."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


class ScatteredSplit:
    """A split that only rank 0 has: each call of `batch` reads for all ranks at once and gives each its part.

    Every rank makes the same number of calls, with equal `count`; rank r requests the sequences r × count after those
    of rank 0. So the data read, and its state, do not depend on the number of ranks. Collective, over a gloo group of
    its own: a thread may call it while another communicates.
    """

    tokens = None
    n_sequences = None

    def __init__(self, split: Split | None, seq_len: int) -> None:
        """`split` on rank 0, None on the others."""
        self._split, self._seq_len = split, seq_len
        self._rank, self._size = world()
        self._group = dist.new_group(backend="gloo", timeout=_LONG)

    def batch(self, first: int, count: int) -> Batch:
        """Sequences `first` … `first + count`: ids and next ids, each (count, seq_len) int64 on the CPU.

        Raises the DataError or ReadingStopped of rank 0 on every rank.
        """
        first_of_all = first - self._rank * count
        parts: list[torch.Tensor] | None = None
        outcome: list[Any] = [first_of_all]
        if self._split is not None:
            try:
                x, y = self._split.batch(first_of_all, count * self._size)
                both = torch.stack([x, y], dim=1)
                parts = list(both.view(self._size, count, 2, self._seq_len).unbind())
            except (DataError, ReadingStopped) as error:
                outcome = [error]
        dist.broadcast_object_list(outcome, src=0, group=self._group)
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        if outcome[0] != first_of_all:
            raise RuntimeError(f"rank {self._rank} requests the sequences from {first_of_all}, rank 0 {outcome[0]}")
        mine = torch.empty(count, 2, self._seq_len, dtype=torch.int64)
        dist.scatter(mine, parts, src=0, group=self._group)
        return mine[:, 0].contiguous(), mine[:, 1].contiguous()

    def state_at(self, sequences: int) -> dict[str, Any]:
        """The state of the split on rank 0; {} on the others."""
        return self._split.state_at(sequences) if self._split is not None else {}

    def restore(self, state: dict[str, Any], sequences: int) -> None:
        """Continue rank 0 at sequence number `sequences`; the others follow it."""
        if self._split is not None:
            self._split.restore(state, sequences)
