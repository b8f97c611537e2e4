"""Activation checkpointing: keep less of the forward pass, and compute it again in the backward pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from tuitrain_engine.decision import Decision
from tuitrain_engine.model import Transformer

_KEPT = {
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten._scaled_mm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.higher_order.flex_attention,
}
"""Operations whose results are kept: matrix products and the attention kernel."""


def decide_recompute(mode: str) -> Decision:
    """The decision on parallel.activation_checkpointing."""
    reasons = {
        "none": "every activation is held until the backward pass",
        "selective": "matrix products and attention are held, the rest is computed again",
        "full": "the input of each block is held, the block is computed again",
    }
    return Decision("recompute", mode, reasons[mode])


def recompute_blocks(model: Transformer, mode: str) -> None:
    """Make the blocks compute activations again: `none`, `selective` or `full`. Parameters keep their names."""
    if mode == "none":
        return
    more: dict[str, Any] = {}
    if mode == "selective":
        more["context_fn"] = partial(create_selective_checkpoint_contexts, _policy)
    for block in model.blocks:
        block.forward = partial(_recomputed, block.forward, more)  # type: ignore[method-assign]


def _recomputed(forward: Any, more: dict[str, Any], *inputs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs)
    return checkpoint(forward, *inputs, use_reentrant=False, **more)


def _policy(context: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if operation in _KEPT else CheckpointPolicy.PREFER_RECOMPUTE
