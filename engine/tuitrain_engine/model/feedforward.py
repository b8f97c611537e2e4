"""Feed-forward units: gelu and relu² with two matrices, swiglu and geglu with a gate and three."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tuitrain.config import ModelConfig
from tuitrain_engine.model.gelu import gelu


class FeedForward(nn.Module):
    """Up to d_ff, a non-linearity, down to d_model.

    gelu is the tanh approximation, in the gate of geglu too, as in GPT-2, PaLM and Gemma. Gate and up are two matrices:
    one product for both is slower, because its halves are strided.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.ffn
        if config.gated:
            self.gate = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.up = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        if self.kind == "swiglu":
            inner = F.silu(self.gate(x)) * self.up(x)
        elif self.kind == "geglu":
            inner = gelu(self.gate(x)) * self.up(x)
        elif self.kind == "relu2":
            inner = F.relu(self.up(x)).square()
        else:
            inner = gelu(self.up(x))
        return self.dropout(self.down(inner))
