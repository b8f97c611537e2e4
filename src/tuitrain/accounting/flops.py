"""FLOPs of training, the utilisation and the time that follow from them, in the convention of PaLM's appendix B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuitrain.accounting.parameters import count_parameters, vocabulary

if TYPE_CHECKING:
    from tuitrain.config import ModelConfig


@dataclass(frozen=True)
class FlopsPerToken:
    """FLOPs to train on one token (forward and backward), without recomputation.

    full is the headline convention (the causal mask is not discounted), causal counts the keys that the mask lets
    through: an upper bound where documents are masked too, since how long they are is known from the data only.
    """

    matmul: float
    attention: float
    visible: float = 0.5
    """Share of the attention product that the causal mask and the window let through."""
    head: float = 0.0
    """The part of matmul that the output head takes, which grows with the vocabulary."""

    @property
    def full(self) -> float:
        """6 · matmul parameters + 12 · n_layers · n_heads · head_dim · T_att."""
        return self.matmul + self.attention

    @property
    def causal(self) -> float:
        """The same with the visible share of the attention term, as a kernel that skips the rest does it."""
        return self.matmul + self.attention * self.visible


def flops_per_token(model: ModelConfig) -> FlopsPerToken:
    """FLOPs per trained token of this shape. Raises ValueError if vocab_size is unset.

    n_heads are the query heads: grouped queries change the projections only.
    """
    span = model.attention_span
    attention = 12 * model.n_layers * model.n_heads * model.head_dim * span
    # The mean number of visible keys is T / 2, or w − w² / (2 T) with a window w < T: as a share of T, or of w.
    visible = 1 - span / (2 * model.seq_len)
    head = 6.0 * vocabulary(model) * model.d_model
    return FlopsPerToken(6.0 * count_parameters(model).matmul, float(attention), visible, head)


def achieved_tflops(tokens_per_sec: float, flops: float, world_size: int) -> float:
    """TFLOP/s each device delivers. tokens_per_sec is of all devices together, flops is per token."""
    return tokens_per_sec * flops / world_size / 1e12


def mfu(tokens_per_sec: float, flops: float, world_size: int, peak_tflops: float | None) -> float | None:
    """Model FLOPs utilisation, 0–1, or None while the peak of a device is unknown."""
    if peak_tflops is None:
        return None
    return achieved_tflops(tokens_per_sec, flops, world_size) / peak_tflops


@dataclass(frozen=True)
class BudgetTime:
    """What a token budget costs at a stated utilisation."""

    tokens: int
    tokens_per_sec: float
    seconds: float
    gpu_hours: float


def time_to_budget(tokens: int, flops_per_token: float, *, peak_tflops: float, mfu: float, gpus: int = 1) -> BudgetTime:
    """Time to train on `tokens` tokens with `gpus` devices of `peak_tflops` each at a utilisation of `mfu` (0–1)."""
    tokens_per_sec = mfu * peak_tflops * 1e12 * gpus / flops_per_token
    seconds = tokens / tokens_per_sec
    return BudgetTime(tokens, tokens_per_sec, seconds, seconds * gpus / 3600)
