"""Memory of a training process: an estimate from the shape and the strategy, in bytes per device.

A step has three moments that can be its peak: the loss, when all activations are there; the last block's backward pass;
and the optimizer's update, when activations are gone but every gradient is there. Weights, gradients and optimizer
states are exact; `bench/memory.py` holds the sum against what is measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from tuitrain.accounting.activations import FLOAT, ActivationBytes
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
    step = _Step(config, devices)
    moments = {"loss": step.at_loss(), "backward": step.in_last_block(), "update": step.in_update()}
    return {name: replace(estimate, moment=name) for name, estimate in moments.items()}


class _Step:
    """The memory of one process in a step."""

    def __init__(self, config: RunConfig, devices: Devices) -> None:
        self.config, self.model, self.strategy = config, config.model, config.parallel.strategy
        self.processes = devices.count
        self.params = count_parameters(config.model)
        self.element = 2 if devices.dtype == "bfloat16" else FLOAT
        self.tokens = config.train.micro_batch * config.model.seq_len
        self.shards = _shard_count(config.parallel, devices)
        self.at_rest = FLOAT * self.params.total // self.shards
        self.optimizer = self._optimizer_bytes() // self.shards
        # Weights of one block, the unit that is gathered.
        params = self.params
        self.block = (params.attention + params.feedforward + params.norms) // self.model.n_layers
        # CUDA has fused kernels of rmsnorm and dropout, the CPU has none.
        self.activations = ActivationBytes(self.model, self.element, fused=devices.type == "cuda")
        self.kept, self.recomputed = self.activations.blocks(config.parallel.activation_checkpointing)

    def at_loss(self) -> MemoryEstimate:
        """At the end of the forward pass."""
        size = vocabulary(self.model)
        # A chunked loss leaves the head's gradient at once, next to the one accumulated so far.
        head = FLOAT * self.params.embedding if chunk_rows(self.tokens, size) is not None else 0
        return MemoryEstimate(
            weights=self._gathered(at_loss=True),
            gradients=self._gradients_before() + head,
            optimizer=self.optimizer,
            activations=self.tokens * (self.kept + self.activations.outside_blocks),
            logits=logits_bytes(self.tokens, size),
            temporary=0,
        )

    def in_last_block(self) -> MemoryEstimate:
        """In the backward pass of the last block, the first one to go backward."""
        gradients, model = self._gradients_before(), self.model
        # Gradients of activations: of the residual stream and inside the feed-forward unit.
        working = FLOAT * model.d_model + self.element * (2 if model.gated else 1) * model.d_ff
        return MemoryEstimate(
            weights=self._gathered(at_loss=False),
            gradients=gradients + (FLOAT * self.params.embedding if gradients < FLOAT * self.params.total else 0),
            optimizer=self.optimizer,
            activations=self.tokens * (self.kept + self.recomputed + self.activations.outside_blocks),
            logits=0,
            temporary=self.tokens * working,
        )

    def in_update(self) -> MemoryEstimate:
        """In the optimizer's step.

        Besides its states it needs, for the statistics, a copy of the weights from before it. Muon holds the update of
        each matrix in float32 and in bfloat16.
        """
        params, config = self.params, self.config
        copy = FLOAT * params.total if config.telemetry.grad_stats_interval else 0
        updates = (FLOAT + 2) * (params.matmul - params.embedding) if config.optim.name == "muon" else 0
        return MemoryEstimate(self.at_rest, self.at_rest, self.optimizer, 0, 0, (copy + updates) // self.shards)

    def _gathered(self, *, at_loss: bool) -> int:
        """Weights at the loss or in the backward pass: at rest, and whole in the arithmetic's dtype.

        Autocast casts the weights of products. Shards are gathered in that dtype already, but for the table that the
        embedding reads; where that is the head's too, autocast casts it.
        """
        params, element = self.params, self.element
        if self.strategy not in ("zero1", "fsdp", "hsdp"):
            return self.at_rest + (element * params.matmul if element != FLOAT else 0)
        tied, block = self.model.tied_embeddings, element * self.block
        table = FLOAT * params.embedding
        head = table + (table // 2 if element != FLOAT else 0) if tied else element * params.embedding
        if self.strategy == "zero1":
            return self.at_rest + self.model.n_layers * block + head + (0 if tied else table)
        # The next block is gathered while one computes. A tied table is one part with the head, and stays.
        if at_loss:
            return self.at_rest + head + block
        return self.at_rest + (head if tied else 0) + 2 * block

    def _gradients_before(self) -> int:
        """Gradients when the last backward pass of a step begins."""
        whole, train = FLOAT * self.params.total, self.config.train
        accumulating = train.global_batch_size > train.micro_batch * self.processes
        if self.strategy in ("fsdp", "hsdp"):
            return (self.at_rest if accumulating else 0) + FLOAT * self.block
        if self.strategy == "zero1":
            return whole if accumulating else FLOAT * self.block
        # DDP's buckets, which the gradients are views of, stay from step to step.
        buckets = self.strategy == "ddp" or (self.strategy == "auto" and self.processes > 1)
        return whole if accumulating or buckets else 0

    def _optimizer_bytes(self) -> int:
        """adamw: two moments; sgd: one, with momentum; muon: one for the matrices of the blocks, two for the rest."""
        params, optim = self.params, self.config.optim
        if optim.name == "muon":
            inside = params.matmul - params.embedding
            return FLOAT * (inside + 2 * (params.total - inside))
        if optim.name == "sgd":
            return FLOAT * params.total if optim.momentum else 0
        return 2 * FLOAT * params.total


def _shard_count(parallel: ParallelConfig, devices: Devices) -> int:
    """Processes that hold one copy of what the strategy shards; 1 where each process has its own."""
    match parallel.strategy:
        case "zero1" | "fsdp":
            return devices.count
        case "hsdp":
            return parallel.shard_processes(devices.count, devices.nodes)
    return 1
