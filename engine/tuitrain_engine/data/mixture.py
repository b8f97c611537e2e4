"""Several sources in one run: which of them gives sequence n follows from (seed, n) alone.

Of the first n sequences the first source has floor(n · s + o), with its share s and an offset o in [0, 1) that follows
from the seed; of the remaining sequences the second source has the same with its share of that remainder, and so on:
cascaded Beatty sequences. A count stays within one of its share at each stage, so with k sources it is
never more than k - 1 sequences from n · share, however long the run. Counts are computed, not stored: any n can be
requested at any time, and each source's own sequences come in its own order without a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

import torch

from tuitrain_engine.data.permutation import mix64
from tuitrain_engine.data.prefetch import Batch, FiniteSplit, Split

_RESOLUTION = 1 << 32


class Shares:
    """How many of the first n sequences each source gives."""

    def __init__(self, weights: list[float], seed: int) -> None:
        """`weights`: positive, in the order of the sources; only their ratios count."""
        left = sum(map(Fraction, weights))
        self._stages: list[tuple[int, int, int]] = []
        for number, weight in enumerate(map(Fraction, weights[:-1])):
            share = (weight / left).limit_denominator(_RESOLUTION)
            left -= weight
            offset = mix64(mix64(seed) + number + 1) % share.denominator
            self._stages.append((share.numerator, share.denominator, offset))

    def counts(self, n: int) -> list[int]:
        """Sequences of each source among the first n; they sum to n."""
        counts, left = [], n
        for numerator, denominator, offset in self._stages:
            counts.append((left * numerator + offset) // denominator)
            left -= counts[-1]
        return [*counts, left]


class MixtureSplit:
    """Sequences of several splits in fixed shares, each split read in its own order from its own beginning."""

    tokens: int | None
    n_sequences: int | None

    def __init__(self, splits: Mapping[str, Split], weights: list[float], seed: int) -> None:
        """`splits` by name, in the order of `weights`."""
        self._splits, self._shares = dict(splits), Shares(weights, seed)
        sizes = [split.tokens for split in splits.values()]
        self.tokens = None if None in sizes else sum(cast(list[int], sizes))
        self.n_sequences = None

    def batch(self, first: int, count: int) -> Batch:
        """Sequences `first` … `first + count`: ids and next ids, each (count, seq_len) int64 on the CPU."""
        counts = [self._shares.counts(n) for n in range(first, first + count + 1)]
        rows: list[torch.Tensor] = []
        batches: list[Batch] = []
        for number, split in enumerate(self._splits.values()):
            own, end = counts[0][number], counts[-1][number]
            if end > own:
                batches.append(split.batch(own, end - own))
                indices = [n for n in range(count) if counts[n + 1][number] > counts[n][number]]
                rows.append(torch.tensor(indices))
        order = torch.cat(rows).argsort()
        x, y = (torch.cat(parts)[order] for parts in zip(*batches, strict=True))
        return x, y

    def state_at(self, sequences: int) -> dict[str, Any]:
        """The state of each split that has one, by name."""
        counts = self._shares.counts(sequences)
        states = {name: split.state_at(own) for (name, split), own in zip(self._splits.items(), counts, strict=True)}
        return {name: state for name, state in states.items() if state}

    def restore(self, state: dict[str, Any], sequences: int) -> None:
        """Continue each split at its next sequence. Raises DataError."""
        counts = self._shares.counts(sequences)
        for (name, split), own in zip(self._splits.items(), counts, strict=True):
            split.restore(state.get(name, {}), own)


class FiniteMixture(MixtureSplit):
    """A mixture of held-out splits; an epoch ends before any of them begins again."""

    tokens: int
    n_sequences: int

    def __init__(self, splits: Mapping[str, FiniteSplit], weights: list[float], seed: int) -> None:
        super().__init__(splits, weights, seed)
        total = sum(weights)
        self.tokens = sum(split.tokens for split in splits.values())
        sizes = [split.n_sequences for split in splits.values()]
        self.n_sequences = max(1, min(int(own * total / weight) for own, weight in zip(sizes, weights, strict=True)))
        # A count may exceed its share by less than one a source.
        while self.n_sequences > 1 and any(
            count > own for count, own in zip(self._shares.counts(self.n_sequences), sizes, strict=True)
        ):
            self.n_sequences -= 1
