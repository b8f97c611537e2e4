"""How much memory a training process needs: an estimate from the shape and the strategy, in bytes per device.

A step has three moments that can be its peak: the loss, when all activations are there; the last block's backward pass;
and the optimizer's update, when activations are gone but every gradient is there. Weights, gradients and optimizer
states are exact; `bench/memory.py` holds the sum against what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.accounting.activations import FLOAT, blocks_bytes_per_token, edge_bytes_per_token
from tuitrain.accounting.logits import logits_bytes
from tuitrain.accounting.parameters import count_parameters, vocabulary
from tuitrain.config import RunConfig
from tuitrain.config.sections import ParallelConfig


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes per device at the peak of a step; the parts add up to it, and what is not there at the peak is 0.

    weights include those gathered from other processes and their bfloat16 copies. activations: what the blocks, the
    norms and the embedding keep for the backward pass. logits: what the loss holds of them. temporary: what one
    operation or one statistic needs for a moment.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    temporary: int

    @property
    def total(self) -> int:
        """All parts together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.temporary


def shard_count(parallel: ParallelConfig, world_size: int, nodes: int = 1) -> int:
    """Processes that hold one copy of what the strategy shards; 1 where each process has its own.

    hsdp shards over `shard_size` processes, by default those of a node.
    """
    match parallel.strategy:
        case "zero1" | "fsdp":
            return world_size
        case "hsdp":
            return parallel.shard_size or max(world_size // nodes, 1)
    return 1


def estimate_memory(
    config: RunConfig, *, dtype: str = "float32", world_size: int = 1, device_type: str = "cuda", nodes: int = 1
) -> MemoryEstimate:
    """Memory of one process at the peak of a step. dtype is the arithmetic: float32 or bfloat16 (autocast).

    Master weights, gradients and moments are float32. device_type tells whether rmsnorm has a fused kernel (on CUDA it
    has, on CPU not). strategy = auto counts as replicas. Raises ValueError if vocab_size is unset.
    """
    moments = step_moments(config, dtype=dtype, world_size=world_size, device_type=device_type, nodes=nodes)
    return max(moments.values(), key=lambda estimate: estimate.total)


def step_moments(
    config: RunConfig, *, dtype: str = "float32", world_size: int = 1, device_type: str = "cuda", nodes: int = 1
) -> dict[str, MemoryEstimate]:
    """The memory at the three moments of a step that can be its peak: loss, backward, update."""
    model, params = config.model, count_parameters(config.model)
    element, fused = (2 if dtype == "bfloat16" else FLOAT), device_type == "cuda"
    tokens = config.train.micro_batch_size * model.seq_len
    held = tokens * (
        blocks_bytes_per_token(model, element, fused, config.parallel.activation_checkpointing)
        + edge_bytes_per_token(model, element, fused)
    )
    shards = shard_count(config.parallel, world_size, nodes)
    at_rest = FLOAT * params.total // shards
    accumulating = config.train.global_batch_size > config.train.micro_batch_size * world_size
    optimizer = optimizer_bytes(config) // shards
    during_step = _weights_during_step(config, element, at_rest)
    before, after = _gradients(config, at_rest, world_size, accumulating)
    # Statistics compare the weights with a copy from before the update.
    statistics = at_rest if config.telemetry.grad_stats_interval else 0
    return {
        "loss": MemoryEstimate(during_step, before, optimizer, held, logits_bytes(tokens, vocabulary(model), element), 0),
        "backward": MemoryEstimate(during_step, before, optimizer, held, 0, _working_bytes(config, element, tokens)),
        "update": MemoryEstimate(at_rest, after, optimizer, 0, 0, statistics),
    }


def _weights_during_step(config: RunConfig, element: int, at_rest: int) -> int:
    """Weights in the forward and backward pass: those at rest, and what is gathered or cast for the products."""
    params, strategy = count_parameters(config.model), config.parallel.strategy
    if strategy == "zero1":
        return at_rest + element * params.total
    if strategy in ("fsdp", "hsdp"):
        # The next block is gathered while one computes.
        return at_rest + element * 2 * _largest_part(config)
    return at_rest + (element * params.matmul if element != FLOAT else 0)


def _gradients(config: RunConfig, at_rest: int, world_size: int, accumulating: bool) -> tuple[int, int]:
    """Gradients when the last backward pass of a step begins, and after it."""
    whole, strategy = FLOAT * count_parameters(config.model).total, config.parallel.strategy
    if strategy in ("fsdp", "hsdp"):
        return (at_rest if accumulating else 0) + FLOAT * _largest_part(config), at_rest
    if strategy == "zero1":
        return (whole if accumulating else FLOAT * _largest_part(config)), at_rest
    # DDP's buckets, which the gradients are views of, stay from step to step.
    buckets = strategy == "ddp" or (strategy == "auto" and world_size > 1)
    return (whole if accumulating or buckets else 0), whole


def _largest_part(config: RunConfig) -> int:
    """Parameters of the largest part that is gathered at once: a block, or the embedding with a tied head."""
    params, model = count_parameters(config.model), config.model
    block = (params.attention + params.feedforward) // model.n_layers + 2 * model.d_model
    return max(block, params.embedding + params.positions)


def _working_bytes(config: RunConfig, element: int, tokens: int) -> int:
    """Gradients of activations while a block goes backward: of the residual stream and inside the feed-forward unit."""
    model = config.model
    return tokens * (FLOAT * model.d_model + element * (2 if model.gated else 1) * model.d_ff)


def optimizer_bytes(config: RunConfig) -> int:
    """adamw: two moments; sgd: one, with momentum; muon: one for the matrices of the blocks, two for the rest."""
    params = count_parameters(config.model)
    if config.optim.name == "muon":
        inside = params.matmul - params.embedding
        return FLOAT * (inside + 2 * (params.total - inside))
    if config.optim.name == "sgd":
        return FLOAT * params.total if config.optim.momentum else 0
    return 2 * FLOAT * params.total
