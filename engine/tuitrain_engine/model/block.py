"""One transformer block: attention and feed-forward around the residual stream."""

from __future__ import annotations

from torch import Tensor, nn

from tuitrain.config import ModelConfig
from tuitrain_engine.model.attention import Attention, Context
from tuitrain_engine.model.cache import LayerCache
from tuitrain_engine.model.feedforward import FeedForward
from tuitrain_engine.model.norm import make_norm


class Block(nn.Module):
    """pre: x + f(norm(x)); post: norm(x + f(x)); f is attention, then the feed-forward unit."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pre_norm = config.norm_position == "pre"
        self.attention_norm = make_norm(config)
        self.attention = Attention(config)
        self.feedforward_norm = make_norm(config)
        self.feedforward = FeedForward(config)

    def forward(self, x: Tensor, context: Context, cache: LayerCache | None = None) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        if self.pre_norm:
            x = x + self.attention(self.attention_norm(x), context, cache)
            return x + self.feedforward(self.feedforward_norm(x))
        x = self.attention_norm(x + self.attention(x, context, cache))
        return self.feedforward_norm(x + self.feedforward(x))
