"""The end of the model: final norm, output projection and, in the same module, the loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuitrain.config import ModelConfig
from tuitrain_engine.loss import cross_entropy
from tuitrain_engine.loss_output import LossOutput
from tuitrain_engine.model.norm import make_norm


class Head(nn.Module):
    """Hidden states to logits, or straight to the loss.

    The loss lives here so that sharding this one module also gathers the weight that the loss multiplies by. Post-norm
    models end in a norm already and have none here.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.vocab_size is not None
        self.norm = make_norm(config) if config.norm_position == "pre" else None
        self.weight = nn.Parameter(torch.empty(config.vocab_size, config.d_model))
        self.fused_loss = False
        """Whether what a chunked loss does to the logits is compiled."""

    def forward(self, x: Tensor, targets: Tensor | None = None, with_accuracy: bool = False) -> Tensor | LossOutput:
        """(B, T, d_model) -> logits (B, T, vocab_size), or with targets (B, T) their summed loss."""
        if self.norm is not None:
            x = self.norm(x)
        if targets is None:
            return F.linear(x, self.weight)
        return cross_entropy(x.flatten(0, 1), self.weight, targets.flatten(), with_accuracy, fused=self.fused_loss)
