"""Small models for tests."""

from __future__ import annotations

from typing import Any

import torch

from tuitrain.config import ModelConfig
from tuitrain_engine.model import Transformer, initialise

SMALL: dict[str, Any] = {"n_layers": 2, "n_heads": 4, "d_model": 32, "d_ff": 48, "vocab_size": 61, "seq_len": 24}


def small_config(**changes: Any) -> ModelConfig:
    """A model of two blocks, with keys changed."""
    return ModelConfig(**{**SMALL, **changes})


def small_model(seed: int = 0, document_end: int | None = None, **changes: Any) -> Transformer:
    """The same model, built, initialised and in evaluation mode."""
    model = Transformer(small_config(**changes), document_end)
    initialise(model, seed)
    # Larger than usual initial values, so that every path changes the logits.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.mul_(10)
    return model.eval()


def random_tokens(*shape: int, seed: int = 0, vocab_size: int = 61) -> torch.Tensor:
    """Token ids drawn from a seed."""
    return torch.randint(0, vocab_size, shape, generator=torch.Generator().manual_seed(seed))
