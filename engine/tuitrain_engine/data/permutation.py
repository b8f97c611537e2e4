"""A random order of n things that is computed, not stored.

A Feistel network permutes the numbers below 4^h, the smallest such range that holds n; a number that lands outside
[0, n) is sent through again until it lands inside ("cycle walking"), which keeps the map a bijection on [0, n) and
takes fewer than four passes on average. [Black and Rogaway 2002, Ciphers with arbitrary finite domains, method 2]

Any index can be requested at any time, so the order of a run is a pure function of (seed, epoch, index): nothing to
save in a checkpoint, and the same on any number of processes.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 6
_MASK64 = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT_29, _SHIFT_32 = np.uint64(29), np.uint64(32)


def mix64(value: int) -> int:
    """Scramble a 64-bit number (the finaliser of SplitMix64): every bit of the result depends on every bit given."""
    value = (value + _STEP) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)


class Permutation:
    """A bijection of [0, n), chosen by (seed, epoch); constant memory, vectorised, for n up to 2^62."""

    def __init__(self, n: int, seed: int, epoch: int = 0) -> None:
        if not 1 <= n <= 1 << 62:
            raise ValueError(f"a permutation needs from 1 to 2^62 elements, not {n}")
        self.n = n
        half_bits = max(1, ((n - 1).bit_length() + 1) // 2)
        self._half_bits = np.uint64(half_bits)
        self._half_mask = np.uint64((1 << half_bits) - 1)
        base = mix64(mix64(seed & _MASK64) ^ epoch)
        self._keys = [np.uint64(mix64(base + number)) for number in range(ROUNDS)]

    def __call__(self, indices: np.ndarray) -> np.ndarray:
        """Images of `indices` (integers in [0, n), any shape), as int64."""
        result = self._network(indices.astype(np.uint64))
        outside = result >= self.n
        while outside.any():
            result[outside] = self._network(result[outside])
            outside = result >= self.n
        return result.astype(np.int64)

    def _network(self, numbers: np.ndarray) -> np.ndarray:
        left, right = numbers >> self._half_bits, numbers & self._half_mask
        for key in self._keys:
            # Products wrap at 2^64; the high bits, which every lower bit reaches, are the ones used.
            scrambled = (right + key) * _MIX
            scrambled ^= scrambled >> _SHIFT_29
            scrambled *= _MIX
            left, right = right, left ^ ((scrambled >> _SHIFT_32) & self._half_mask)
        return (left << self._half_bits) | right
