"""The cross entropy of a large vocabulary, a chunk of logits at a time, with its gradients in the same pass.

Imported at its first use: `torch.compiler.disable` loads torch's compiler, which costs each process half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tuitrain_engine.loss_output import IGNORE, LossOutput, count_correct

_TILE = 128
"""A matrix product is fast with a multiple of so many rows."""


@torch.compiler.disable
def chunked_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, with_accuracy: bool = False, *, rows: int, fused: bool = False
) -> LossOutput:
    """`cross_entropy` that makes `rows` rows of logits at a time.

    The gradients are made in the same pass, while a chunk's logits are there, and only scaled in the backward pass, as
    in Liger Kernel (Hsu et al. 2024). The gradient of a logit is softmax minus one-hot, of its sum and not of a mean:
    so it is at most 1, and what is rounded to bfloat16 is not scaled. Weight gradients add up in float32.

    torch's own `F.linear_cross_entropy` (from 2.13) was measured (`bench/loss.py`) and is not used. It sums and returns
    a bfloat16 loss in bfloat16, wrong in the third digit. Hits would need the products again, so that a logged step
    would take longer, and its arithmetic would differ from that of a step that is not logged.

    A compiled graph breaks here: torch 2.11 silently compiles the function below into one with wrong gradients.
    """
    needs_gradients = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    chunk = _compiled(_fused_chunk) if fused else _chunk
    if needs_gradients:
        loss_sum, correct = _ChunkedCrossEntropy.apply(hidden, weight, targets, with_accuracy, rows, chunk)
    else:
        loss_sum, correct, _, _ = _one_pass(hidden, weight, targets, with_accuracy, rows, chunk, needs_gradients=False)
    return LossOutput(loss_sum, correct if with_accuracy else None, (targets != IGNORE).sum())


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, with_accuracy: bool, rows: int, chunk: _Chunk
    ) -> tuple[Tensor, Tensor]:
        loss_sum, correct, *gradients = _one_pass(
            hidden, weight, targets, with_accuracy, rows, chunk, needs_gradients=True
        )
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(correct)
        return loss_sum, correct

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        # In place: the head's gradient is large. Autograd refuses a second backward pass.
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient.mul_(scale), weight_gradient.mul_(scale), None, None, None, None


def _one_pass(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    with_accuracy: bool,
    rows: int,
    chunk: _Chunk,
    *,
    needs_gradients: bool,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Loss sum, hits (0 unless requested) and the loss sum's gradients of hidden and weight."""
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    loss_sum = torch.zeros((), dtype=torch.float32, device=hidden.device)
    correct = torch.zeros((), dtype=torch.int64, device=hidden.device)
    hidden_gradient = torch.empty_like(hidden) if needs_gradients else None
    with torch.autocast(device, enabled=False), torch.no_grad():
        matrix = _in_whole_tiles(weight.to(dtype))
        weight_gradient = torch.zeros_like(matrix, dtype=torch.float32) if needs_gradients else None
        for start in range(0, hidden.shape[0], rows):
            part, wanted = hidden[start : start + rows].to(dtype), targets[start : start + rows]
            # Only the chunk holds them, and frees them after use.
            loss, hits, slope = chunk(_logits(part, matrix, len(weight)), wanted, with_accuracy, needs_gradients)
            loss_sum += loss
            if hits is not None:
                correct += hits
            if slope is not None and hidden_gradient is not None and weight_gradient is not None:
                hidden_gradient[start : start + rows] = slope @ matrix
                _add_product(weight_gradient, slope.t(), part)
            del slope
    if weight_gradient is not None:
        weight_gradient = weight_gradient[: len(weight)].to(weight.dtype)
    return loss_sum, correct, hidden_gradient, weight_gradient


def _logits(hidden: Tensor, matrix: Tensor, vocab_size: int) -> Tensor:
    """The logits (N, V); columns beyond the vocabulary are -inf."""
    logits = F.linear(hidden, matrix)
    logits[:, vocab_size:] = -torch.inf
    return logits


def _in_whole_tiles(matrix: Tensor) -> Tensor:
    """(V, D), or where rows of 0 make its products faster (V rounded up, D).

    Tensor cores process bfloat16 in tiles; a row of an odd number of logits, as GPT-2's 50,257, is aligned to none.
    """
    missing = -len(matrix) % _TILE
    return F.pad(matrix, (0, 0, 0, missing)) if missing and _tiled(matrix) else matrix


def _tiled(matrix: Tensor) -> bool:
    return matrix.is_cuda and matrix.dtype == torch.bfloat16


_Chunk = Callable[[Tensor, Tensor, bool, bool], tuple[Tensor, Tensor | None, Tensor | None]]
"""Of logits (N, V), which it may overwrite, and targets (N,): loss sum, hits if requested, and if requested the loss's
slope, softmax minus one-hot, (N, V) in the logits' dtype, 0 where the target is ignored."""


def _chunk(
    logits: Tensor, targets: Tensor, with_accuracy: bool, with_slope: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Operation by operation, in place where that saves memory."""
    hits = count_correct(logits, targets) if with_accuracy else None
    dtype = logits.dtype
    log_probabilities = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
    del logits
    loss = F.nll_loss(log_probabilities, targets, ignore_index=IGNORE, reduction="sum")
    if not with_slope:
        return loss, hits, None
    one = torch.full((1, 1), -1.0, device=targets.device).expand(len(targets), 1)
    slope = log_probabilities.exp_().scatter_add_(1, targets.clamp(min=0).unsqueeze(1), one).to(dtype)
    return loss, hits, slope.mul_((targets != IGNORE).unsqueeze(1))


def _fused_chunk(
    logits: Tensor, targets: Tensor, with_accuracy: bool, with_slope: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The same to be compiled: the logits are read twice and the slope written once."""
    wide, counts = logits.float(), targets != IGNORE
    normaliser = torch.logsumexp(wide, dim=-1)
    own = wide.gather(1, targets.clamp(min=0).unsqueeze(1)).squeeze(1)
    loss = torch.where(counts, normaliser - own, 0.0).sum()
    hits = (logits.argmax(dim=-1) == targets).sum() if with_accuracy else None
    if not with_slope:
        return loss, hits, None
    one_hot = torch.arange(logits.shape[1], device=logits.device) == targets.unsqueeze(1)
    slope = ((wide - normaliser.unsqueeze(1)).exp() - one_hot.float()) * counts.unsqueeze(1)
    return loss, hits, slope.to(logits.dtype)


@cache
def _compiled(chunk: _Chunk) -> _Chunk:
    # Not at import: torch's compiler takes seconds to load. The last chunk of a batch may be shorter.
    return torch.compile(chunk, dynamic=False)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, in total's float32 whatever the factors are."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
