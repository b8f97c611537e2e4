"""Evaluation: the mean loss over a fixed set of held-out sequences."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuitrain import accounting, events
from tuitrain.config import RunConfig
from tuitrain_engine.data import Dataset, text_bytes, token_bytes
from tuitrain_engine.hardware import Machine
from tuitrain_engine.loss_output import IGNORE
from tuitrain_engine.model import Transformer
from tuitrain_engine.parallel import Distribution, World

_READ_AT_ONCE = 64


def sequences_to_evaluate(
    config: RunConfig, dataset: Dataset, before: dict[str, Any] | None, past: Sequence[events.Eval]
) -> int:
    """The number of held-out sequences in an evaluation: eval.steps global batches, at most the split.

    A resume (`before`: its earlier configuration, `past`: its evaluations) keeps the number of its newest
    evaluation unless eval.steps is another one: a new global batch size is no reason to measure something else.
    """
    requested = config.eval.steps * config.train.global_batch_size
    if before is not None and past and past[-1].sequences and before["eval"]["steps"] == config.eval.steps:
        requested = past[-1].sequences
    return min(requested, dataset.val.n_sequences)


@dataclass(frozen=True)
class _Contents:
    """Evaluated sequences: what identifies them, the targets that count, the bytes of their text (None: unknown)."""

    fingerprint: str
    targets: int
    bytes: int | None


@dataclass
class Evaluator:
    """Measures the model on the first `sequences` of the held-out split, each exactly once.

    The result depends on neither the size of a micro-batch nor the number of processes, up to rounding.
    """

    config: RunConfig
    dataset: Dataset
    model: Transformer
    distribution: Distribution
    machine: Machine
    world: World
    sequences: int

    @property
    def fingerprint(self) -> str:
        """Identifies the evaluated sequences by their contents: ids, targets, their tokenizer, length and number."""
        return self._contents.fingerprint

    @cached_property
    def _contents(self) -> _Contents:
        """What the evaluated sequences are, read once."""
        digest = hashlib.blake2b(digest_size=8)
        shape = f"{self.dataset.tokenizer.fingerprint} {self.config.model.seq_len} {self.sequences}"
        digest.update(shape.encode())
        sizes, targets, size = token_bytes(self.dataset.tokenizer), 0, 0
        for first in range(0, self.sequences, _READ_AT_ONCE):
            x, y = (part.numpy() for part in self.dataset.val.batch(first, min(_READ_AT_ONCE, self.sequences - first)))
            for part in (x, y):
                digest.update(part.astype(np.int32))
            targets += int((y >= 0).sum())
            if (here := text_bytes(sizes, y)) is None:
                sizes = None
            else:
                size += here
        return _Contents(digest.hexdigest(), targets, size if sizes is not None else None)

    def evaluate(self, step: int, tokens: int) -> events.Eval:
        """Measure on all sequences. The loss may not be finite.

        bits_per_byte is of the loss and of the text of the same targets, the ends of documents among them: they cost
        nats and are no bytes, since telling documents apart is part of predicting the text. The first token of a
        sequence is no target, nor is padding.
        """
        started = time.perf_counter()
        loss, accuracy = self.measure()
        contents = self._contents
        return events.Eval(
            step=step,
            tokens=tokens,
            loss=loss,
            accuracy=accuracy,
            perplexity=accounting.perplexity(loss),
            bits_per_byte=accounting.bits_per_byte(loss, contents.targets, contents.bytes),
            bytes=contents.bytes,
            sequences=self.sequences,
            split_fingerprint=contents.fingerprint,
            text_fingerprint=self.dataset.held_out_text,
            text_fraction=self._text_fraction(contents.targets),
            duration_ms=(time.perf_counter() - started) * 1e3,
        )

    def _text_fraction(self, targets: int) -> float:
        """The share of the held-out split in an evaluation; the rest of a stream after its last sequence is none."""
        val = self.dataset.val
        if self.config.data.packing == "packed":
            return self.sequences / val.n_sequences
        # Long documents are cut; the first token of each is no target.
        return min(1.0, (targets + self.sequences) / val.tokens)

    @torch.no_grad()
    def measure(self, sequences: int | None = None) -> tuple[float, float]:
        """Loss (nats, the mean over all targets) and accuracy over the first `sequences`, by default all."""
        count = self.sequences if sequences is None else sequences
        micro, world, device = self.config.train.micro_batch, self.world, self.machine.device
        sums = torch.zeros(3, device=device, dtype=torch.float64)
        self.model.eval()
        # A process without sequences still runs the forward pass, which a sharded model needs from all.
        for start in range(0, count, micro * world.size):
            first = start + world.rank * micro
            x, y = self._batch(first, min(max(count - first, 0), micro))
            with self.machine.autocast():
                output = self.model(x, y, True)
            sums += torch.stack([part.double() for part in (output.loss_sum, output.correct, output.count)])
        self.model.train()
        self.distribution.release()
        loss_sum, correct, targets = world.sum(sums).tolist()
        return loss_sum / targets, correct / targets

    def _batch(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """A whole micro-batch on the device of which only the first `count` sequences have targets.

        So every batch has one shape, and a compiled model one graph.
        """
        micro = self.config.train.micro_batch
        x, y = self.dataset.val.batch(first if count else 0, max(count, 1))
        x = torch.cat((x, x[:1].expand(micro - len(x), -1)))
        y = torch.cat((y[:count], y.new_full((micro - count, y.shape[1]), IGNORE)))
        return x.to(self.machine.device, non_blocking=True), y.to(self.machine.device, non_blocking=True)
