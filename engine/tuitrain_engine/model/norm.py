"""Normalisation layers."""

from __future__ import annotations

from torch import nn

from tuitrain.config import ModelConfig


def make_norm(config: ModelConfig) -> nn.LayerNorm | nn.RMSNorm:
    """The norm of the residual stream, over d_model: layernorm with or without bias, or rmsnorm."""
    if config.norm == "rmsnorm":
        return nn.RMSNorm(config.d_model, eps=config.norm_eps)
    return nn.LayerNorm(config.d_model, eps=config.norm_eps, bias=config.norm_bias)


def make_head_norm(config: ModelConfig) -> nn.RMSNorm | None:
    """The norm of one query or key head, over head_dim, as in Qwen3; None without `qk_norm`."""
    return nn.RMSNorm(config.head_dim, eps=config.norm_eps) if config.qk_norm else None
