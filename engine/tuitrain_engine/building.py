"""What a run is built of: its tokenizer, and its model, first without values, then whole or in shards with them."""

from __future__ import annotations

from pathlib import Path

import torch

from tuitrain.config import ConfigError, ModelConfig, RunConfig
from tuitrain_engine.data import Tokenizer, load_tokenizer, save_tokenizer
from tuitrain_engine.model import Transformer, initialise


def keep_tokenizer(tokenizer: Tokenizer, directory: Path, *, check: bool, write: bool) -> None:
    """Save the run's tokenizer, by the process that may `write`; or `check` that it is the one already there.

    Raises ConfigError when it is another: ids would mean something else from there on.
    """
    if check:
        if load_tokenizer(directory).fingerprint != tokenizer.fingerprint:
            raise ConfigError(
                "data.tokenizer is not the one this run was trained with, or its corpus has changed, and its ids would "
                "mean something else: resume with the tokenizer as it was."
            )
    elif write:
        save_tokenizer(tokenizer, directory)


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
