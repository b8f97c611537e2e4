"""The plan of a run: parameters, FLOPs, memory on a device, time to its token budget."""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.accounting import (
    BudgetTime,
    Change,
    FlopsPerToken,
    MemoryEstimate,
    ParameterCounts,
    capacity_per_process,
    choose_micro_batch,
    choose_strategy,
    count_parameters,
    estimate_memory,
    fitting_changes,
    flops_per_token,
    peak_tflops,
    time_to_budget,
    usable_bytes,
)
from tuitrain.config import RunConfig
from tuitrain.launch.machine import GB, Device

DEFAULT_MFU = 0.4
"""Default utilisation; well-tuned dense models reach 0.4 to 0.5 on one node."""

NOTHING_FITS = "no micro-batch, checkpointing or sharding makes it fit"

LATER = "chosen by memory once the vocabulary is known"

SHAKESPEARE_CHARACTERS = 65
"""Distinct characters of the tiny Shakespeare text, whose checksum is fixed."""


@dataclass(frozen=True)
class Plan:
    """The plan of one configuration on `gpus` devices of one kind. Unknown values are None.

    parameters, flops and memory are None while the vocabulary depends on the data, and so are a strategy and an
    accumulation under auto; budget is None where the device's peak is unknown or the run does not fit. config has the
    micro-batch that auto resolves to, where it is known, with its reason; the reason is None where config names one.
    """

    config: RunConfig
    device: Device
    gpus: int
    dtype: str
    mfu: float
    accumulation: int | None
    micro_batch_reason: str | None
    strategy: str | None
    strategy_reason: str
    parameters: ParameterCounts | None
    flops: FlopsPerToken | None
    memory: MemoryEstimate | None
    peak_tflops: float | None
    budget: BudgetTime | None

    @property
    def tokens(self) -> int:
        """Tokens of the whole run."""
        return self.config.total_steps * self.config.tokens_per_step

    @property
    def fits(self) -> bool | None:
        """Whether a process fits what is usable of its memory; None is unknown."""
        return None if self.memory is None else self.memory.total / GB <= self.usable_gb

    @property
    def memory_gb(self) -> float:
        """Memory of one process: a GPU's, or its share of the RAM."""
        return capacity_per_process(self.device.memory_gb, self.gpus, 1, self.device.type)

    @property
    def usable_gb(self) -> float:
        """The part of a process's memory that an estimate may fill, in GB."""
        return usable_bytes(self.memory_gb)

    def changes(self, *, more_gpus: bool = False) -> list[Change]:
        """Up to three changes that would fit, least loss of speed first: on these GPUs, or on more of them."""
        changes = fitting_changes(self.config, self.dtype, self.gpus, self.device.type, self.device.memory_gb * GB)
        return [change for change in changes if change.more_gpus == more_gpus][:3]

    @property
    def data_limit(self) -> int | None:
        """Limit of the tokens read from the data, held-out ones included; None: no limit."""
        data = self.config.data
        return None if data.max_tokens is None else data.max_tokens * len(data.shares)

    @property
    def least_epochs(self) -> float | None:
        """The least number of epochs where data.max_tokens is below the tokens of the run, else None."""
        if self.data_limit is None or self.data_limit >= self.tokens:
            return None
        return self.tokens / (self.data_limit * (1 - self.config.data.val_fraction))


def known_vocabulary(config: RunConfig) -> int | None:
    """The vocabulary size where it follows from the tokenizer's name or a known text; None for ids of `bin:` files."""
    name, source = config.data.tokenizer, config.data.source
    if source.startswith("bin:"):
        return None
    if name == "char" and source == "shakespeare":
        return SHAKESPEARE_CHARACTERS
    if name == "byte":
        return 256
    if name.startswith("sentencepiece:"):
        return int(name.removeprefix("sentencepiece:"))
    return None


def make_plan(config: RunConfig, device: Device, *, gpus: int = 1, mfu: float = DEFAULT_MFU) -> Plan:
    """Plan a run on `gpus` processes of one machine, a device each. Raises ConfigError if the batch does not divide."""
    if config.model.vocab_size is None and (size := known_vocabulary(config)) is not None:
        config = config.with_vocab_size(size)
    config.with_least_micro_batch().accumulation(gpus)
    dtype = device.dtype(config.train.dtype)
    peak = config.hardware.peak_tflops or peak_tflops(device.name, dtype)
    machine = (dtype, gpus, 1, device.type, device.memory_gb * GB)
    vocabulary_known = config.model.vocab_size is not None
    micro_batch_reason: str | None = None
    if config.train.micro_batch_size == "auto":
        micro_batch_reason = LATER
        if vocabulary_known:
            micro_batch, micro_batch_reason = choose_micro_batch(config, *machine)
            config = config.with_micro_batch(micro_batch)
    accumulation = None if config.train.micro_batch_size == "auto" else config.accumulation(gpus)
    strategy: str | None = None
    reason = LATER
    if vocabulary_known or gpus == 1 or config.parallel.strategy != "auto":
        strategy, reason = choose_strategy(config, *machine)
    parameters = flops = memory = budget = None
    if vocabulary_known:
        parameters, flops = count_parameters(config.model), flops_per_token(config.model)
        parallel = config.parallel.model_copy(update={"strategy": strategy})
        memory = estimate_memory(
            config.model_copy(update={"parallel": parallel}), dtype=dtype, world_size=gpus, device_type=device.type
        )
        fits = memory.total <= usable_bytes(capacity_per_process(device.memory_gb * GB, gpus, 1, device.type))
        if peak is not None and fits:
            tokens = config.total_steps * config.tokens_per_step
            budget = time_to_budget(tokens, flops.full, peak_tflops=peak, mfu=mfu, gpus=gpus)
    return Plan(
        config, device, gpus, dtype, mfu, accumulation, micro_batch_reason, strategy, reason, parameters, flops, memory,
        peak, budget,
    )  # fmt: skip
