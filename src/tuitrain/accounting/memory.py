"""How much memory a training process needs: an estimate from the shape, in bytes per device.

Weights, gradients and optimizer states are exact. Activations count the tensors that autograd keeps for the backward
pass (after Korthikanti et al. 2022, section 4, for a fused attention that never holds the T × T scores); a test
compares them with the bytes that a forward pass of each tiny preset really keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.accounting.parameters import count_parameters, vocabulary
from tuitrain.config import ModelConfig, RunConfig

_FLOAT = 4
_TOKEN_ID = 8


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes per device at the peak of a step.

    weights include their bfloat16 copies under autocast. activations: what the blocks, the norms and the embedding keep
    for the backward pass. logits: the log-probabilities that are kept, and the logits or their gradient next to them.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All parts together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits


def norm_bytes_per_token(model: ModelConfig, element: int, fused: bool) -> int:
    """What one norm of the residual stream and the product behind it keep for a token.

    The norm keeps its float32 input and one (rmsnorm) or two (layernorm) statistics; the product keeps the norm's
    output in the arithmetic's dtype. An rmsnorm without a fused kernel also keeps the normalised input.
    """
    rms = model.norm == "rmsnorm"
    held = _FLOAT * model.d_model + _FLOAT * (1 if rms else 2) + element * model.d_model
    return held + (_FLOAT * model.d_model if rms and not fused else 0)


def attention_bytes_per_token(model: ModelConfig, element: int, fused: bool) -> int:
    """What one attention keeps for a token, without the norm in front of it.

    The projected queries, keys and values stay as one tensor, since the values are a view of it. Rotated or normed
    queries and keys are new tensors. QK-norm keeps a float32 input (its own copy under autocast), a statistic for each
    head and, without a fused kernel, the normalised heads. The attended values are the output product's input; the
    kernel adds one float32 log-sum-exp for each head.
    """
    q, k = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    held = element * (q + 2 * k) + element * q + _FLOAT * model.n_heads
    if model.position == "rope" or model.qk_norm:
        held += element * (q + k)
    if model.qk_norm:
        held += _FLOAT * (model.n_heads + model.n_kv_heads)
        held += _FLOAT * (q + k) * ((element != _FLOAT) + (not fused))
    return held + (model.d_model if model.dropout else 0)


def feedforward_bytes_per_token(model: ModelConfig, element: int) -> int:
    """What one feed-forward unit keeps for a token, without the norm in front of it.

    Two matrices: one tensor of the non-linearity (its input or its derivative) and the last product's input. A gate
    adds its own projection and its activation. Dropout adds a mask of one byte an element.
    """
    return element * (4 if model.gated else 2) * model.d_ff + (model.d_model if model.dropout else 0)


def block_bytes_per_token(model: ModelConfig, element: int, fused: bool = True) -> int:
    """What one block keeps for each token until the backward pass; element is the arithmetic's bytes (4 or 2)."""
    return (
        2 * norm_bytes_per_token(model, element, fused)
        + attention_bytes_per_token(model, element, fused)
        + feedforward_bytes_per_token(model, element)
    )


def estimate_memory(
    config: RunConfig, *, dtype: str = "float32", world_size: int = 1, device_type: str = "cuda"
) -> MemoryEstimate:
    """Memory of one process at the peak of a step. dtype is the arithmetic: float32 or bfloat16 (autocast).

    Master weights, gradients and moments are float32. device_type tells whether rmsnorm has a fused kernel (on CUDA it
    has, on CPU not). Raises ValueError if vocab_size is unset.
    """
    model, params = config.model, count_parameters(config.model)
    element = 2 if dtype == "bfloat16" else _FLOAT
    tokens = config.train.micro_batch_size * model.seq_len
    shards = world_size if config.parallel.strategy in ("fsdp", "hsdp") else 1
    optimizer_shards = world_size if config.parallel.strategy in ("zero1", "fsdp", "hsdp") else 1
    fused = device_type == "cuda"
    block = block_bytes_per_token(model, element, fused)
    if config.parallel.activation_checkpointing == "full":
        # The input of each block, and one whole block while it is computed again.
        blocks = model.n_layers * _FLOAT * model.d_model + block
    else:
        blocks = model.n_layers * block
    if model.norm_position == "pre":
        edge = norm_bytes_per_token(model, element, fused)
    else:
        # No final norm; but the first block multiplies the embedding as it is.
        edge = element * model.d_model
    # Ids serve the embedding's backward pass, targets the loss's; embedding dropout keeps a mask.
    ends = 2 * _TOKEN_ID + (model.d_model if model.dropout else 0)
    return MemoryEstimate(
        weights=_FLOAT * params.total // shards + (2 * params.matmul if dtype == "bfloat16" else 0),
        gradients=_FLOAT * params.total // shards,
        optimizer=_optimizer_bytes(config) // optimizer_shards,
        activations=tokens * (blocks + edge + ends),
        logits=tokens * vocabulary(model) * 2 * _FLOAT,
    )


def _optimizer_bytes(config: RunConfig) -> int:
    """adamw: two moments; sgd: one, with momentum; muon: one for the matrices of the blocks, two for the rest."""
    params = count_parameters(config.model)
    if config.optim.name == "muon":
        inside = params.matmul - params.embedding
        return _FLOAT * (inside + 2 * (params.total - inside))
    if config.optim.name == "sgd":
        return _FLOAT * params.total if config.optim.momentum else 0
    return 2 * _FLOAT * params.total
