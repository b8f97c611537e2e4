"""Memory that autograd keeps for the backward pass, in bytes per token of a micro-batch.

It counts tensors as Korthikanti et al. 2022, section 4, does, for a fused attention that never holds the T × T scores
(the math backend does); a test compares it with the bytes that a forward pass of each tiny preset really keeps.

`element` is the arithmetic's bytes (4 or 2); `fused` tells whether rmsnorm and dropout have kernels of their own: on
CUDA they have, on the CPU not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitrain.config import ModelConfig


FLOAT = 4
TOKEN_ID = 8


def norm_bytes_per_token(model: ModelConfig, element: int, fused: bool) -> int:
    """Bytes per token of one norm of the residual stream and of the product after it.

    The norm keeps its float32 input and one (rmsnorm) or two (layernorm) statistics; the product keeps the norm's
    output in the arithmetic's dtype. An rmsnorm without a fused kernel also keeps the normalised input.
    """
    rms = model.norm == "rmsnorm"
    held = FLOAT * model.d_model + FLOAT * (1 if rms else 2) + element * model.d_model
    return held + (FLOAT * model.d_model if rms and not fused else 0)


def attention_bytes_per_token(model: ModelConfig, element: int, fused: bool) -> int:
    """Bytes per token of one attention, without the norm before it.

    The projected queries, keys and values stay as one tensor, since the values are a view of it. Rotated or normed
    queries and keys are new tensors. QK-norm keeps a float32 input (its own copy under autocast), a statistic for each
    head and, without a fused kernel, the normalised heads. The attended values are the output product's input; the
    kernel adds one float32 log-sum-exp for each head; the math backend keeps the scores instead.
    """
    q, k = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    held = element * (q + 2 * k) + element * q + (score_bytes_per_token(model, element, fused) or FLOAT * model.n_heads)
    if model.position == "rope" or model.qk_norm:
        held += element * (q + k)
    if model.qk_norm:
        held += FLOAT * (model.n_heads + model.n_kv_heads)
        held += FLOAT * (q + k) * ((element != FLOAT) + (not fused))
    return held + dropout_bytes_per_token(model, element, fused)


def score_bytes_per_token(model: ModelConfig, element: int, fused: bool) -> int:
    """The probabilities of all positions that the math backend keeps; 0 for a fused attention kernel.

    On the CPU dropout needs it too, and the scores are float32. Dropout keeps its mask and its output besides.
    """
    if not (model.attention_backend == "math" or (model.dropout and not fused)):
        return 0
    score = element if fused else FLOAT
    each = score + (score + (1 if fused else score) if model.dropout else 0)
    return model.n_heads * model.seq_len * each


def dropout_bytes_per_token(model: ModelConfig, element: int, fused: bool) -> int:
    """The mask of one dropout of the residual stream: a byte an element, or without a kernel a factor."""
    return (1 if fused else element) * model.d_model if model.dropout else 0


def feedforward_bytes_per_token(model: ModelConfig, element: int, fused: bool = True) -> int:
    """What one feed-forward unit keeps for a token, without the norm in front of it.

    Two matrices: one tensor of the non-linearity (its input or its derivative) and the last product's input. A gate
    adds its own projection and its activation.
    """
    return element * (4 if model.gated else 2) * model.d_ff + dropout_bytes_per_token(model, element, fused)


def block_bytes_per_token(model: ModelConfig, element: int, fused: bool = True) -> int:
    """What one block keeps for each token until its backward pass."""
    return (
        2 * norm_bytes_per_token(model, element, fused)
        + attention_bytes_per_token(model, element, fused)
        + feedforward_bytes_per_token(model, element, fused)
    )


def selective_bytes_per_token(model: ModelConfig, element: int) -> int:
    """What a block keeps with activation_checkpointing = selective: its input and the outputs that are dear to compute.

    These are the outputs of its matrix products and of the attention kernel with its log-sum-exp.
    """
    q, k = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    products = (q + 2 * k) + model.d_model + (2 if model.gated else 1) * model.d_ff + model.d_model
    return FLOAT * model.d_model + element * (products + q) + FLOAT * model.n_heads


def blocks_bytes_per_token(model: ModelConfig, element: int, fused: bool, checkpointing: str) -> tuple[int, int]:
    """What all blocks keep until the backward pass, and what the last one, computed again, holds on top of that."""
    block = block_bytes_per_token(model, element, fused)
    kept = {
        "none": block,
        "selective": min(selective_bytes_per_token(model, element), block),
        "full": FLOAT * model.d_model,
    }[checkpointing]
    return model.n_layers * kept, block - kept


def edge_bytes_per_token(model: ModelConfig, element: int, fused: bool) -> int:
    """What lies outside of the blocks: the final norm, the ids, the embedding's dropout."""
    if model.norm_position == "pre":
        held = norm_bytes_per_token(model, element, fused)
    else:
        # No final norm; but the first block multiplies the embedding as it is.
        held = element * model.d_model
    # Ids serve the embedding's backward pass, targets the loss's; embedding dropout keeps a mask.
    return held + 2 * TOKEN_ID + dropout_bytes_per_token(model, FLOAT, fused)
