"""The training loss: next-token cross entropy, and how many next tokens were right."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from tuitrain.accounting import chunk_rows
from tuitrain_engine.loss_output import IGNORE, LossOutput, count_correct


def cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, with_accuracy: bool = False, *, fused: bool = False
) -> LossOutput:
    """Cross entropy of hidden (N, D) times the head's weight (V, D) against targets (N,); -100 is left out.

    The product runs in the present arithmetic (bfloat16 under autocast), the softmax in float32. Where all (N, V)
    logits would be large they are never held: `accounting.chunk_rows` decides. fused: compile what is done to a chunk.
    """
    rows = chunk_rows(hidden.shape[0], weight.shape[0])
    if rows is not None:
        from tuitrain_engine.chunked_loss import chunked_cross_entropy

        return chunked_cross_entropy(hidden, weight, targets, with_accuracy, rows=rows, fused=fused)
    logits = F.linear(hidden, weight)
    loss_sum = F.cross_entropy(logits.float(), targets, ignore_index=IGNORE, reduction="sum")
    correct = count_correct(logits.detach(), targets) if with_accuracy else None
    return LossOutput(loss_sum, correct, (targets != IGNORE).sum())
