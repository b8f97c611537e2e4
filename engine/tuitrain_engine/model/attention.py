"""Causal self-attention: multi-head or grouped-query, with or without QK-norm, rotation and masks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache as cached
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from tuitrain.config import ModelConfig
from tuitrain_engine.model.cache import LayerCache
from tuitrain_engine.model.norm import make_head_norm
from tuitrain_engine.model.position import Rotation, rotate

_BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
    "generation": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
}


class Context(NamedTuple):
    """What every layer of one forward pass shares.

    rotation: of the present positions, None unless position = rope. mask: (T, S) or (B, 1, T, S) with True where a
    query may look, None where plain causality (or, for a single query, everything) is meant; a BlockMask is one for
    FlexAttention.
    """

    rotation: Rotation | None
    mask: Tensor | BlockMask | None


class Attention(nn.Module):
    """Causal self-attention through `scaled_dot_product_attention` or FlexAttention, whichever the mask is for.

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
            # In float32 under autocast too, where the projections are bfloat16.
            wide = torch.promote_types(queries.dtype, torch.float32)
            queries, keys = self.q_norm(queries.to(wide)), self.k_norm(keys.to(wide))
        if context.rotation is not None:
            queries, keys = rotate(queries, context.rotation), rotate(keys, context.rotation)
        queries, keys = queries.to(values.dtype), keys.to(values.dtype)
        if cache is not None:
            keys, values = cache.append(keys, values)
        backend = self.backend if cache is None else generating(self.backend, queries.device.type)
        y = self._attend(queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), context.mask, backend)
        return self.dropout(self.output(y.transpose(1, 2).reshape(batch, length, -1)))

    def _attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | BlockMask | None, backend: str
    ) -> Tensor:
        grouped = self.heads[0] != self.heads[1]
        if isinstance(mask, BlockMask):
            # Eagerly it holds all scores, which would not fit on a GPU; inside a compiled block it is part of that.
            attend = _compiled_flex() if queries.is_cuda else flex_attention
            return attend(queries, keys, values, block_mask=mask, enable_gqa=grouped)
        if grouped and queries.is_cuda and (mask is not None or backend == "efficient"):
            # Of the kernels that accept a mask, the memory-efficient one does not support groups.
            keys, values = repeat_heads(keys, self.heads[0]), repeat_heads(values, self.heads[0])
            grouped = False
        with kernel(backend):
            return F.scaled_dot_product_attention(
                queries,
                keys,
                values,
                attn_mask=mask,
                dropout_p=self.dropout.p if self.training else 0.0,
                is_causal=mask is None and queries.shape[2] > 1,
                enable_gqa=grouped,
            )


@cached
def _compiled_flex() -> Callable[..., Tensor]:
    # Not at import: torch's compiler takes seconds to load.
    return torch.compile(flex_attention, dynamic=False)


def repeat_heads(heads: Tensor, n_heads: int) -> Tensor:
    """(B, n_kv_heads, T, head_dim) -> (B, n_heads, T, head_dim): each head once for every query head of its group."""
    return heads.repeat_interleave(n_heads // heads.shape[1], dim=1)


def kernel(backend: str) -> AbstractContextManager[None]:
    """The context in which SDPA runs on this backend; `auto` leaves the choice to torch, and so does `flex`.

    Under flex only generation with a cache comes here: a single query gains nothing from blocks.
    """
    return sdpa_kernel(_BACKENDS[backend]) if backend in _BACKENDS else nullcontext()


def generating(backend: str, device_type: str) -> str:
    """The backend to generate with, a token at a time.

    Not cuDNN, which on CUDA would make a plan for each number of keys, a second for each token at first.
    """
    return "generation" if device_type == "cuda" and backend in ("auto", "cudnn", "flex") else backend
