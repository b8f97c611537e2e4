"""Builds the tokenizer and the model of a run: first on the meta device, then whole or sharded, with values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from tuitrain import accounting
from tuitrain.config import ConfigError, ModelConfig, RunConfig
from tuitrain_engine import parallel
from tuitrain_engine.data import Tokenizer, load_tokenizer, save_tokenizer
from tuitrain_engine.decision import Decision
from tuitrain_engine.float8 import apply_float8
from tuitrain_engine.hardware import Machine, decide_attention, decide_loss, with_attention
from tuitrain_engine.loss_output import LossOutput
from tuitrain_engine.model import Transformer, initialise
from tuitrain_engine.parallel import Distribution, World


def keep_tokenizer(tokenizer: Tokenizer, directory: Path, *, check: bool, write: bool) -> None:
    """Save the run's tokenizer, by the process that may `write`; or `check` that it equals the saved one.

    Raises ConfigError when it differs: token ids would change their meaning.
    """
    if check:
        if load_tokenizer(directory).fingerprint != tokenizer.fingerprint:
            raise ConfigError(
                "data.tokenizer is not the one this run was trained with, or its corpus has changed, and its ids would "
                "mean something else: resume with the tokenizer as it was."
            )
    elif write:
        save_tokenizer(tokenizer, directory)


def decide_micro_batch(
    config: RunConfig, vocab_size: int, machine: Machine, world: World
) -> tuple[RunConfig, list[Decision]]:
    """The configuration with a number where train.micro_batch_size is auto, and that decision.

    vocab_size: the tokenizer's, which counts where the configuration names none.
    """
    if config.train.micro_batch_size != "auto":
        return config, []
    size, reason = accounting.choose_micro_batch(config.with_vocab_size(vocab_size), machine.devices(world))
    return config.with_values({"train.micro_batch_size": size}), [Decision("micro-batch", str(size), reason)]


@dataclass(frozen=True)
class Built:
    """A model spread over the processes of a run, ready to train, and the decisions about it by subject."""

    model: Transformer
    distribution: Distribution
    forward: Callable[..., LossOutput]
    decisions: dict[str, Decision]

    @property
    def compiled(self) -> bool:
        """Whether the forward pass is compiled."""
        return self.decisions["compile"].value == "on"


def build_distributed(
    config: RunConfig, machine: Machine, world: World, document_end: int | None, *, seed: int | None
) -> Built:
    """The model with its initial values, spread over the processes. Needs model.vocab_size.

    seed: of the initial values; None where others are loaded into it.

    The order matters: empty, float8, recomputation, compilation, shards, values, copies. Raises
    ConfigError for what this machine or these processes cannot do.
    """
    strategy = parallel.decide_strategy(config, world, machine.devices(world))
    compiling = parallel.decide_compile(config.train.compile, machine.device)
    compiled = compiling.value == "on"
    attention = decide_attention(config.model, machine, compiled)
    loss = decide_loss(config)
    recompute = parallel.decide_recompute(config.parallel.activation_checkpointing)
    distribution = Distribution(strategy.value, config, world, machine.device, machine.dtype)
    model = empty_model(with_attention(config.model, attention), document_end)
    float8 = [apply_float8(model, machine, compiled=compiled)] if config.train.float8 else []
    parallel.recompute_blocks(model, recompute.value)
    small = machine.device.type == "cpu" and not distribution.sharded and recompute.value == "none"
    compiling = parallel.compile_parts(model, compiling, together=small, dense_loss=loss.value == "dense")
    distribution.shard(model)
    fill_model(model, seed, machine.device)
    decisions = [*float8, attention, loss, compiling, strategy, recompute]
    return Built(model, distribution, distribution.replicate(model), {each.subject: each for each in decisions})


def build_model(config: RunConfig, device: torch.device, document_end: int | None = None) -> Transformer:
    """The whole model on one device, into which values are loaded. document_end: the id that ends a document."""
    return fill_model(empty_model(config.model, document_end), None, device)


def empty_model(config: ModelConfig, document_end: int | None) -> Transformer:
    """The model without values, on the meta device, so that a sharded model is never held whole."""
    with torch.device("meta"):
        return Transformer(config, document_end)


def fill_model(model: Transformer, seed: int | None, device: torch.device) -> Transformer:
    """Allocate the memory of an empty model or of its shards, and set the initial values."""
    model.to_empty(device=device)
    initialise(model, seed)
    return model.train()
