"""The key-value cache of generation."""

from __future__ import annotations

import torch
from torch import Tensor


class LayerCache:
    """Keys and values of one layer, for up to `capacity` positions."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, T, n_kv_heads, head_dim) of new positions; returns all so far, the old ones first."""
        if self._keys is None or self._values is None:
            shape = (keys.shape[0], self.capacity, *keys.shape[2:])
            self._keys, self._values = keys.new_empty(shape), values.new_empty(shape)
        end = self.length + keys.shape[1]
        if end > self.capacity:
            raise ValueError(f"the cache holds {self.capacity} positions, {end} are needed")
        self._keys[:, self.length : end] = keys
        self._values[:, self.length : end] = values
        self.length = end
        return self._keys[:, :end], self._values[:, :end]


class Cache:
    """A cache for each layer, and the tokens at the positions so far."""

    def __init__(self, n_layers: int, capacity: int) -> None:
        self.layers = [LayerCache(capacity) for _ in range(n_layers)]
        self._tokens: Tensor | None = None

    @property
    def length(self) -> int:
        """How many positions it holds."""
        return self.layers[0].length

    def append(self, tokens: Tensor) -> Tensor:
        """Store (B, T) new token ids; returns all so far."""
        self._tokens = tokens if self._tokens is None else torch.cat((self._tokens, tokens), dim=1)
        return self._tokens
