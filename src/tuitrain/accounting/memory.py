"""How much memory a training process needs: an estimate from the shape, in bytes per device.

Weights, gradients and optimizer states are exact. Activations count the tensors that the blocks keep for the
backward pass (after Korthikanti et al. 2022, section 4, for a fused attention that never holds the T × T scores).
"""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.accounting.parameters import count_parameters, vocabulary
from tuitrain.config import ModelConfig, RunConfig


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes per device at the peak of a step."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All parts together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits


def activation_elements_per_token(model: ModelConfig) -> int:
    """Elements that one block keeps for each token: the inputs of its norms, products and non-linearities."""
    d, q = model.d_model, model.n_heads * model.head_dim
    kv = 2 * model.n_kv_heads * model.head_dim
    norms = 2 * 2 * d
    projections = q + kv
    rotated = q + kv if model.position == "rope" or model.qk_norm else 0
    normed = q + kv // 2 if model.qk_norm else 0
    attended = q
    feedforward = (4 if model.gated else 2) * model.d_ff
    return norms + projections + rotated + normed + attended + feedforward


def estimate_memory(config: RunConfig, *, dtype: str = "float32", world_size: int = 1) -> MemoryEstimate:
    """Memory of one process at the peak of a step. dtype is the arithmetic: float32 or bfloat16 (autocast).

    Master weights, gradients and moments are float32. Raises ValueError if vocab_size is unset.
    """
    model, params = config.model, count_parameters(config.model).total
    element = 2 if dtype == "bfloat16" else 4
    tokens = config.train.micro_batch_size * model.seq_len
    shards = world_size if config.parallel.strategy in ("fsdp", "hsdp") else 1
    optimizer_shards = world_size if config.parallel.strategy in ("zero1", "fsdp", "hsdp") else 1
    moments = {"adamw": 2, "muon": 1, "sgd": 1}[config.optim.name]
    cast_copy = 2 * params if dtype == "bfloat16" else 0
    block = activation_elements_per_token(model) * element
    if config.parallel.activation_checkpointing == "full":
        held = model.n_layers * model.d_model * 4 + block
    else:
        held = model.n_layers * block
    # Logits in the arithmetic's dtype, their float32 copy and the gradient of it meet at the end of the forward.
    logits = tokens * vocabulary(model) * (4 + 4 + (2 if dtype == "bfloat16" else 0))
    return MemoryEstimate(
        weights=4 * params // shards + cast_copy,
        gradients=4 * params // shards,
        optimizer=4 * moments * params // optimizer_shards,
        activations=tokens * held,
        logits=logits,
    )
