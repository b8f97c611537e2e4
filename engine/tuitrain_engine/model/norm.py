"""Normalisation layers. Weights are cast to the dtype of the input: gathered from shards they may be bfloat16."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tuitrain.config import ModelConfig


class RMSNorm(nn.RMSNorm):
    """x / rms(x) · weight, over the last dimension, in the dtype of x."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that ends in normalized_shape."""
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class LayerNorm(nn.LayerNorm):
    """(x - mean(x)) / std(x) · weight + bias, over the last dimension, in the dtype of x."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that ends in normalized_shape."""
        bias = self.bias.to(x.dtype) if self.bias is not None else None
        return F.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), bias, self.eps)


def make_norm(config: ModelConfig) -> LayerNorm | RMSNorm:
    """The norm of the residual stream, over d_model: layernorm with or without bias, or rmsnorm."""
    if config.norm == "rmsnorm":
        return RMSNorm(config.d_model, eps=config.norm_eps)
    return LayerNorm(config.d_model, eps=config.norm_eps, bias=config.norm_bias)


def make_head_norm(config: ModelConfig) -> RMSNorm | None:
    """The norm of one query or key head, over head_dim, as in Qwen3; None without `qk_norm`."""
    return RMSNorm(config.head_dim, eps=config.norm_eps) if config.qk_norm else None
