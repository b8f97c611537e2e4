"""FLOPs of training and the utilisation that follows from them, in the convention of PaLM's appendix B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuitrain.accounting.parameters import count_parameters

if TYPE_CHECKING:
    from tuitrain.config import ModelConfig


@dataclass(frozen=True)
class FlopsPerToken:
    """FLOPs to train on one token (forward and backward), without recomputation.

    full is the headline convention (the causal mask is not discounted), causal halves the attention product.
    """

    matmul: float
    attention: float

    @property
    def full(self) -> float:
        """6 · matmul parameters + 12 · n_layers · n_heads · head_dim · T_att."""
        return self.matmul + self.attention

    @property
    def causal(self) -> float:
        """The same with half of the attention term, as a causal kernel does it."""
        return self.matmul + self.attention / 2


def flops_per_token(model: ModelConfig) -> FlopsPerToken:
    """FLOPs per trained token of this shape. Raises ValueError if vocab_size is unset.

    n_heads are the query heads: grouped queries change the projections only.
    """
    attention = 12 * model.n_layers * model.n_heads * model.head_dim * model.attention_span
    return FlopsPerToken(matmul=6.0 * count_parameters(model).matmul, attention=float(attention))


def achieved_tflops(tokens_per_sec: float, flops: float, world_size: int) -> float:
    """TFLOP/s each device delivers. tokens_per_sec is of all devices together, flops is per token."""
    return tokens_per_sec * flops / world_size / 1e12


def mfu(tokens_per_sec: float, flops: float, world_size: int, peak_tflops: float | None) -> float | None:
    """Model FLOPs utilisation, 0–1, or None while the peak of a device is unknown."""
    if peak_tflops is None:
        return None
    return achieved_tflops(tokens_per_sec, flops, world_size) / peak_tflops
