"""Sequences out of token shards, by number: what sequence n of a run holds is a pure function of (seed, n).

The data position of a run is the count of sequences consumed, nothing else, so a resumed run goes on exactly, on
any number of processes: process r of w reads other numbers.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any, Protocol

import numpy as np
import torch

from tuitrain_engine.data.permutation import Permutation, mix64
from tuitrain_engine.data.shards import TokenShards

IGNORED = -100
"""Target of a padded position: torch's cross entropy leaves it out."""
_GOLDEN = 0.6180339887498949


class Order(Protocol):
    """Which of the n windows (or documents) of a split is read when."""

    def __call__(self, numbers: range) -> tuple[np.ndarray, np.ndarray]:
        """For successive sequence numbers: their indices in [0, n) and their epochs, both int64."""
        ...

    def offset(self, epoch: int, choices: int) -> int:
        """How far the cuts between sequences move in that epoch, in [0, choices)."""
        ...


class Shuffled:
    """Every index once in each epoch, in an order of its own for each (seed, epoch)."""

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed = n, seed
        self._permutation = lru_cache(maxsize=4)(lambda epoch: Permutation(n, seed, epoch))

    def __call__(self, numbers: range) -> tuple[np.ndarray, np.ndarray]:
        numbers_array = np.arange(numbers.start, numbers.stop, dtype=np.int64)
        epochs, numbers_in_epoch = np.divmod(numbers_array, self._n)
        indices = np.empty_like(numbers_in_epoch)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            indices[here] = self._permutation(epoch)(numbers_in_epoch[here])
        return indices, epochs

    def offset(self, epoch: int, choices: int) -> int:
        return mix64(mix64(self._seed) + epoch + 1) % choices


class Spread:
    """Always the same indices, any first k of them spread evenly over the split: steps of the golden section."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._step = next(step for step in range(max(1, round(n * _GOLDEN)), n + 2) if gcd(step, n) == 1)

    def __call__(self, numbers: range) -> tuple[np.ndarray, np.ndarray]:
        indices = np.arange(numbers.start, numbers.stop, dtype=np.int64) % self._n * self._step % self._n
        return indices, np.zeros_like(indices)

    def offset(self, epoch: int, choices: int) -> int:
        return 0


class NumberedSplit:
    """A split whose sequences are known by number alone: there is no state."""

    def state_at(self, sequences: int) -> dict[str, Any]:
        """{}: the number is enough."""
        return {}

    def restore(self, state: dict[str, Any], sequences: int) -> None:
        """Nothing to do."""


class PackedSplit(NumberedSplit):
    """Sequences cut from the stream of documents, one after the other, across their ends.

    The cuts move by a random offset each epoch, so a token meets other contexts; less than two sequences at the
    ends of the stream are left out of an epoch for it.
    """

    def __init__(self, shards: TokenShards, seq_len: int, seed: int | None) -> None:
        """`seed` None: the fixed order of evaluation. Needs more than `seq_len` tokens."""
        self._shards, self._seq_len = shards, seq_len
        self.tokens = shards.tokens
        self.n_sequences = max(1, (shards.tokens - seq_len) // seq_len)
        self._offsets = min(seq_len, shards.tokens - self.n_sequences * seq_len)
        if seed is None:
            self.n_sequences = (shards.tokens - 1) // seq_len
        self._order: Order = Spread(self.n_sequences) if seed is None else Shuffled(self.n_sequences, seed)

    def batch(self, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Sequences `first` … `first + count`: ids and next ids, each (count, seq_len) int64 on the CPU."""
        length = self._seq_len
        block = np.empty((count, length + 1), dtype=np.int64)
        indices, epochs = self._order(range(first, first + count))
        for row, (index, epoch) in enumerate(zip(indices.tolist(), epochs.tolist(), strict=True)):
            start = index * length + self._order.offset(epoch, self._offsets)
            block[row] = self._shards.read(start, length + 1)
        tokens = torch.from_numpy(block)
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


class SampleSplit(NumberedSplit):
    """One document a sequence: cut at seq_len, or padded, with targets of -100 where there is nothing to predict."""

    def __init__(
        self, shards: TokenShards, documents: np.ndarray, seq_len: int, padding: int, seed: int | None
    ) -> None:
        """`documents`: where each starts, and the end of the last; those of one token are left out."""
        self._shards, self._seq_len, self._padding = shards, seq_len, padding
        lengths = np.diff(documents)
        usable = lengths >= 2
        self._starts, self._lengths = documents[:-1][usable], lengths[usable]
        self.tokens = shards.tokens
        self.n_sequences = len(self._starts)
        self.truncated = int((self._lengths > seq_len + 1).sum())
        """Documents that do not fit in a sequence."""
        self._order: Order = Spread(self.n_sequences) if seed is None else Shuffled(self.n_sequences, seed)

    def batch(self, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Sequences `first` … `first + count`: ids and next ids, each (count, seq_len) int64 on the CPU."""
        x = np.full((count, self._seq_len), self._padding, dtype=np.int64)
        y = np.full((count, self._seq_len), IGNORED, dtype=np.int64)
        indices, _ = self._order(range(first, first + count))
        for row, index in enumerate(indices.tolist()):
            length = min(int(self._lengths[index]), self._seq_len + 1)
            ids = self._shards.read(int(self._starts[index]), length)
            x[row, : length - 1] = ids[:-1]
            y[row, : length - 1] = ids[1:]
        return torch.from_numpy(x), torch.from_numpy(y)
