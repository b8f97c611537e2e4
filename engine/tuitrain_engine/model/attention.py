"""Causal self-attention: multi-head or grouped-query, with or without QK-norm, rotation and a sliding window."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from tuitrain.config import ConfigError, ModelConfig
from tuitrain_engine.model.norm import make_head_norm
from tuitrain_engine.model.position import Rotation, rotate

_BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
_ON_CPU = ("auto", "flash", "math")


class LayerCache:
    """Keys and values of the positions one layer has seen, for generation; room for `capacity` of them."""

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


class Context(NamedTuple):
    """What every layer of one forward pass shares.

    rotation: of the positions at hand, None unless position = rope. mask: (T, S) with True where a query may look, None
    where plain causality (or, for a single query, everything) is meant.
    """

    rotation: Rotation | None
    mask: Tensor | None


class Attention(nn.Module):
    """Causal self-attention through `scaled_dot_product_attention`.

    Rows of `qkv.weight`: n_heads · head_dim of queries, then n_kv_heads · head_dim of keys, then as many of values.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = (config.n_heads, config.n_kv_heads, config.n_kv_heads)
        self.head_dim = config.head_dim
        self.qkv = nn.Linear(config.d_model, sum(self.heads) * config.head_dim, bias=config.bias)
        self.output = nn.Linear(config.n_heads * config.head_dim, config.d_model, bias=config.bias)
        self.q_norm, self.k_norm = make_head_norm(config), make_head_norm(config)
        self.dropout = nn.Dropout(config.dropout)
        self.backend = config.attention_backend

    def forward(self, x: Tensor, context: Context, cache: LayerCache | None = None) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model). With a cache the T tokens follow those it holds."""
        batch, length, _ = x.shape
        heads = self.qkv(x).view(batch, length, -1, self.head_dim)
        queries, keys, values = heads.split(self.heads, dim=2)
        if self.q_norm is not None and self.k_norm is not None:
            # In float32 under autocast too, where the projections are bfloat16 and the norm's weight is not.
            queries, keys = (
                self.q_norm(queries.to(self.q_norm.weight.dtype)),
                self.k_norm(keys.to(self.k_norm.weight.dtype)),
            )
        if context.rotation is not None:
            queries, keys = rotate(queries, context.rotation), rotate(keys, context.rotation)
        queries, keys = queries.to(values.dtype), keys.to(values.dtype)
        if cache is not None:
            keys, values = cache.append(keys, values)
        y = self._attend(queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), context.mask)
        return self.dropout(self.output(y.transpose(1, 2).reshape(batch, length, -1)))

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        with kernel(self.backend):
            return F.scaled_dot_product_attention(
                queries,
                keys,
                values,
                attn_mask=mask,
                dropout_p=self.dropout.p if self.training else 0.0,
                is_causal=mask is None and queries.shape[2] > 1,
                enable_gqa=self.heads[0] != self.heads[1],
            )


def causal_mask(length: int, start: int, window: int | None, device: torch.device) -> Tensor | None:
    """(length, start + length) mask of queries at positions start …, or None where none is needed.

    A query at position t sees positions max(0, t - window + 1) … t: with a window, itself counts as one.
    """
    total = start + length
    windowed = window is not None and window < total
    if not windowed and (start == 0 or length == 1):
        return None
    distance = torch.arange(start, total, device=device).unsqueeze(1) - torch.arange(total, device=device)
    mask = distance >= 0
    return mask & (distance < window) if window is not None else mask


def kernel(backend: str) -> AbstractContextManager[None]:
    """The context in which attention runs on this backend; `auto` leaves the choice to torch."""
    return nullcontext() if backend == "auto" else sdpa_kernel(_BACKENDS[backend])


def check_backend(config: ModelConfig, device_type: str | None = None) -> None:
    """Raise ConfigError when the attention backend cannot run this model, or not on this type of device."""
    backend = config.attention_backend
    if backend == "flex":
        raise ConfigError(
            "model.attention_backend = flex is not available: use auto, which also runs sliding windows (model.window)."
        )
    if backend == "flash" and config.attention_span < config.seq_len and device_type != "cpu":
        raise ConfigError(
            "model.attention_backend = flash takes no mask, which model.window needs: use auto, efficient or math."
        )
    if device_type == "cpu" and backend not in _ON_CPU:
        raise ConfigError(f"model.attention_backend = {backend} needs CUDA: on CPU use {', '.join(_ON_CPU)}.")
