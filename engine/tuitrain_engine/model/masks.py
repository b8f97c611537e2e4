"""Attention masks: causal, sliding window, and separate documents."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask


def documents(tokens: Tensor, end: int) -> Tensor:
    """(B, T) token ids -> (B, T) int32, which document of its sequence each belongs to, counted from 0.

    The token `end`, which ends a document, belongs to the one it ends.
    """
    ends = (tokens == end).int()
    return ends.cumsum(dim=1, dtype=torch.int32) - ends


def dense_mask(
    length: int, start: int, window: int | None, device: torch.device, documents: Tensor | None = None
) -> Tensor | None:
    """Mask of queries at positions start … start + length - 1, True where one may look; None where none is needed.

    (length, start + length), or with documents (B, start + length) of all positions (B, 1, length, start + length).
    A query at position t sees positions max(0, t - window + 1) … t: with a window, itself counts as one.
    """
    total = start + length
    windowed = window is not None and window < total
    if documents is None and not windowed and (start == 0 or length == 1):
        return None
    distance = torch.arange(start, total, device=device).unsqueeze(1) - torch.arange(total, device=device)
    mask = distance >= 0
    if window is not None:
        mask = mask & (distance < window)
    if documents is None:
        return mask
    return mask & (documents[:, None, start:, None] == documents[:, None, None, :])


def block_mask(length: int, window: int | None, device: torch.device, documents: Tensor | None = None) -> BlockMask:
    """The same rule for FlexAttention, from position 0: which blocks of 128 × 128 scores to compute at all.

    On CUDA it is made by a compiled kernel, so that no (B, T, T) tensor is held.
    """
    create = _compiled_create() if device.type == "cuda" else create_block_mask
    batch = None if documents is None else documents.shape[0]
    return create(_rule(window, documents), batch, None, length, length, device=device)


@cache
def _compiled_create() -> Callable[..., BlockMask]:
    # Not at import: torch's compiler takes seconds to load.
    return torch.compile(create_block_mask, dynamic=False)


def _rule(window: int | None, documents: Tensor | None) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """FlexAttention's mask function of (batch, head, query position, key position)."""

    def allowed(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        visible = key <= query
        if window is not None:
            visible = visible & (query - key < window)
        if documents is not None:
            visible = visible & (documents[batch, query] == documents[batch, key])
        return visible

    return allowed
