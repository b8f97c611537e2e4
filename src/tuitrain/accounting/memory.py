"""Memory of a training process: an estimate from the shape and the strategy, in bytes per device.

A step has three moments that can be its peak: the loss, when all activations are there; the last block's backward pass;
and the optimizer's update, when activations are gone but every gradient is there. Weights, gradients and optimizer
states are exact; `bench/memory.py` holds the sum against what is measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from tuitrain.accounting.activations import FLOAT, blocks_bytes_per_token, edge_bytes_per_token
from tuitrain.accounting.logits import chunk_rows, logits_bytes
from tuitrain.accounting.parameters import count_parameters, vocabulary

if TYPE_CHECKING:
    from tuitrain.config import RunConfig
    from tuitrain.config.sections import ParallelConfig


MOMENTS = {"loss": "at the loss", "backward": "in the backward pass", "update": "in the optimizer's update"}
"""The moments of a step that can be its peak, in words."""


USABLE = 0.9
"""Share of the memory that an estimate may fill: CUDA, NCCL and fragmentation use the rest of a GPU's, the operating
system and other programs the rest of a machine's."""


@dataclass(frozen=True)
class Devices:
    """What a run trains on: `count` processes, a device each, on `nodes` machines.

    type: cuda or cpu. dtype: the arithmetic, float32 or bfloat16 (autocast). memory_bytes: of one GPU, or of a machine,
    which its CPU processes share; None is unknown.
    """

    type: str = "cuda"
    dtype: str = "float32"
    count: int = 1
    nodes: int = 1
    memory_bytes: float | None = None

    @property
    def process_bytes(self) -> float | None:
        """Memory of one process."""
        if self.memory_bytes is None or self.type != "cpu":
            return self.memory_bytes
        return self.memory_bytes / max(self.count // self.nodes, 1)

    @property
    def usable_bytes(self) -> float | None:
        """The bytes of one process that an estimate may fill."""
        return None if self.process_bytes is None else USABLE * self.process_bytes


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes per device at the peak of a step; the parts add up to the total, and a part not held at the peak is 0.

    weights include those gathered from other processes and their bfloat16 copies. gradients: those that are there at
    that moment. activations: what the blocks, the norms and the embedding keep for the backward pass. logits: what the
    loss holds of them. temporary: what one operation or one statistic needs for a moment.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    temporary: int
    moment: str = ""
    """Which moment of a step this is: a key of MOMENTS."""

    @property
    def parts(self) -> dict[str, int]:
        """The parts by their names."""
        return {name: size for name, size in asdict(self).items() if name != "moment"}

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(self.parts.values())


def estimate_memory(config: RunConfig, devices: Devices) -> MemoryEstimate:
    """Memory of one process at the peak of a step.

    Master weights, gradients and moments are float32. strategy = auto counts as replicas. Raises ValueError if
    vocab_size is unset or micro_batch_size is auto.
    """
    return max(step_moments(config, devices).values(), key=lambda estimate: estimate.total)


def step_moments(config: RunConfig, devices: Devices) -> dict[str, MemoryEstimate]:
    """The memory at the three moments of a step that can be its peak: loss, backward, update."""
    model, params = config.model, count_parameters(config.model)
    # CUDA has a fused kernel of rmsnorm, the CPU has none.
    element, fused = (2 if devices.dtype == "bfloat16" else FLOAT), devices.type == "cuda"
    tokens = config.train.micro_batch * model.seq_len
    edge = edge_bytes_per_token(model, element, fused)
    mode = config.parallel.activation_checkpointing
    kept, recomputed = blocks_bytes_per_token(model, element, fused, mode)
    shards = _shard_count(config.parallel, devices)
    at_rest = FLOAT * params.total // shards
    optimizer = optimizer_bytes(config) // shards
    before, after = _gradients(config, at_rest, devices.count)
    # A chunked loss leaves the head's gradient at once, next to the one accumulated so far.
    head = FLOAT * params.embedding if chunk_rows(tokens, vocabulary(model)) is not None else 0
    at_loss = MemoryEstimate(
        weights=_gathered(config, element, at_rest, at_loss=True),
        gradients=before + head,
        optimizer=optimizer,
        activations=tokens * (kept + edge),
        logits=logits_bytes(tokens, vocabulary(model)),
        temporary=0,
    )
    in_last_block = MemoryEstimate(
        weights=_gathered(config, element, at_rest, at_loss=False),
        gradients=before + (FLOAT * params.embedding if before < FLOAT * params.total else 0),
        optimizer=optimizer,
        activations=tokens * (kept + recomputed + edge),
        logits=0,
        temporary=_working_bytes(config, element, tokens),
    )
    in_update = MemoryEstimate(at_rest, after, optimizer, 0, 0, _update_bytes(config, shards))
    moments = {"loss": at_loss, "backward": in_last_block, "update": in_update}
    return {name: replace(estimate, moment=name) for name, estimate in moments.items()}


def _shard_count(parallel: ParallelConfig, devices: Devices) -> int:
    """Processes that hold one copy of what the strategy shards; 1 where each process has its own."""
    match parallel.strategy:
        case "zero1" | "fsdp":
            return devices.count
        case "hsdp":
            return parallel.shard_processes(devices.count, devices.nodes)
    return 1


def _gathered(config: RunConfig, element: int, at_rest: int, *, at_loss: bool) -> int:
    """Weights at the loss or in the backward pass: at rest, and whole in the arithmetic's dtype.

    Autocast casts the weights of products. Shards are gathered in that dtype already, but for the table that the
    embedding reads; where that is the head's too, autocast casts it.
    """
    params, strategy = count_parameters(config.model), config.parallel.strategy
    if strategy not in ("zero1", "fsdp", "hsdp"):
        return at_rest + (element * params.matmul if element != FLOAT else 0)
    tied, block = config.model.tied_embeddings, element * _block_parameters(config)
    table = FLOAT * params.embedding
    head = table + (table // 2 if element != FLOAT else 0) if tied else element * params.embedding
    if strategy == "zero1":
        return at_rest + config.model.n_layers * block + head + (0 if tied else table)
    # The next block is gathered while one computes. A tied table is one part with the head, and stays.
    if at_loss:
        return at_rest + head + block
    return at_rest + (head if tied else 0) + 2 * block


def _gradients(config: RunConfig, at_rest: int, processes: int) -> tuple[int, int]:
    """Gradients when the last backward pass of a step begins, and after it."""
    whole, strategy, train = FLOAT * count_parameters(config.model).total, config.parallel.strategy, config.train
    accumulating = train.global_batch_size > train.micro_batch * processes
    if strategy in ("fsdp", "hsdp"):
        return (at_rest if accumulating else 0) + FLOAT * _block_parameters(config), at_rest
    if strategy == "zero1":
        return (whole if accumulating else FLOAT * _block_parameters(config)), at_rest
    # DDP's buckets, which the gradients are views of, stay from step to step.
    buckets = strategy == "ddp" or (strategy == "auto" and processes > 1)
    return (whole if accumulating or buckets else 0), whole


def _block_parameters(config: RunConfig) -> int:
    """Weights of one block, the unit that is gathered."""
    params = count_parameters(config.model)
    return (params.attention + params.feedforward + params.norms) // config.model.n_layers


def _update_bytes(config: RunConfig, shards: int) -> int:
    """What the optimizer's step needs besides its states: for the statistics a copy of the weights from before it.

    Muon holds the update of each matrix in float32 and in bfloat16.
    """
    params = count_parameters(config.model)
    copy = FLOAT * params.total if config.telemetry.grad_stats_interval else 0
    updates = (FLOAT + 2) * (params.matmul - params.embedding) if config.optim.name == "muon" else 0
    return (copy + updates) // shards


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
