"""A model from its configuration: first without values, then, whole or in shards, with the initial ones."""

from __future__ import annotations

import torch

from tuitrain.config import ModelConfig, RunConfig
from tuitrain_engine.model import Transformer, initialise


def build_model(config: RunConfig, device: torch.device, document_end: int | None = None) -> Transformer:
    """The whole model with its initial values, on one device. document_end: the id that ends a document."""
    return fill_model(empty_model(config.model, document_end), config.train.seed, device)


def empty_model(config: ModelConfig, document_end: int | None) -> Transformer:
    """The model without values, on the meta device: what is to become shards is never held whole."""
    with torch.device("meta"):
        return Transformer(config, document_end)


def fill_model(model: Transformer, seed: int, device: torch.device) -> Transformer:
    """Give an empty model its memory, or its shards theirs, and the initial values."""
    model.to_empty(device=device)
    initialise(model, seed)
    return model.train()
