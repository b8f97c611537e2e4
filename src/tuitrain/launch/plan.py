"""The plan of a run: parameters, FLOPs, memory on a device, time to its token budget."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tuitrain.accounting import (
    BudgetTime,
    Change,
    Devices,
    FlopsPerToken,
    MemoryEstimate,
    ParameterCounts,
    choose_micro_batch,
    choose_strategy,
    count_parameters,
    estimate_memory,
    fitting_changes,
    flops_per_token,
    peak_tflops,
    time_to_budget,
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
    """The plan of one configuration on devices of one kind. Unknown values are None.

    config has the vocabulary and the micro-batch of auto where they are known; micro_batch_reason is None where the
    configuration names the micro-batch, strategy is None while auto waits for the vocabulary.
    """

    config: RunConfig
    device: Device
    devices: Devices
    mfu: float
    micro_batch_reason: str | None
    strategy: str | None
    strategy_reason: str

    @property
    def tokens(self) -> int:
        """Tokens of the whole run."""
        return self.config.total_steps * self.config.tokens_per_step

    @property
    def accumulation(self) -> int | None:
        """Micro-batches of one process in a step."""
        return None if self.config.train.micro_batch_size == "auto" else self.config.accumulation(self.devices.count)

    @cached_property
    def parameters(self) -> ParameterCounts | None:
        """Parameters; None, as are FLOPs and memory, while the vocabulary depends on the data."""
        return None if self.config.model.vocab_size is None else count_parameters(self.config.model)

    @cached_property
    def flops(self) -> FlopsPerToken | None:
        """FLOPs of a token."""
        return None if self.config.model.vocab_size is None else flops_per_token(self.config.model)

    @cached_property
    def memory(self) -> MemoryEstimate | None:
        """Memory of one process at the peak of a step."""
        if self.config.model.vocab_size is None:
            return None
        return estimate_memory(self.config.with_values({"parallel.strategy": self.strategy}), self.devices)

    @property
    def peak_tflops(self) -> float | None:
        """Dense peak of one device."""
        return self.config.hardware.peak_tflops or peak_tflops(self.device.name, self.devices.dtype)

    @property
    def budget(self) -> BudgetTime | None:
        """The time of the run; None where the device's peak is unknown or the run does not fit."""
        if self.peak_tflops is None or self.flops is None or not self.fits:
            return None
        count = self.devices.count
        return time_to_budget(self.tokens, self.flops.full, peak_tflops=self.peak_tflops, mfu=self.mfu, gpus=count)

    @property
    def fits(self) -> bool | None:
        """Whether a process fits what is usable of its memory."""
        return None if self.memory is None else self.memory.total / GB <= self.usable_gb

    @property
    def memory_gb(self) -> float:
        """Memory of one process: a GPU's, or its share of the RAM."""
        return (self.devices.process_bytes or 0) / GB

    @property
    def usable_gb(self) -> float:
        """The part of a process's memory that an estimate may fill."""
        return (self.devices.usable_bytes or 0) / GB

    def changes(self, *, more_gpus: bool = False) -> list[Change]:
        """Up to three changes that would fit, least loss of speed first: on these GPUs, or on more of them."""
        changes = fitting_changes(self.config, self.devices)
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


def make_plan(config: RunConfig, device: Device, *, gpus: int = 1, nodes: int = 1, mfu: float = DEFAULT_MFU) -> Plan:
    """Plan a run on `gpus` processes, a device each, of `nodes` machines.

    Raises ConfigError if the batch does not divide.
    """
    if (size := known_vocabulary(config)) is not None:
        config = config.with_vocab_size(size)
    config.with_least_micro_batch().accumulation(gpus, nodes)
    devices = device.of_processes(gpus, config.train.dtype, nodes)
    vocabulary_known = config.model.vocab_size is not None
    micro_batch_reason = None
    if config.train.micro_batch_size == "auto":
        micro_batch_reason = LATER
        if vocabulary_known:
            micro_batch, micro_batch_reason = choose_micro_batch(config, devices)
            config = config.with_values({"train.micro_batch_size": micro_batch})
    strategy, reason = None, LATER
    if vocabulary_known or gpus == 1 or config.parallel.strategy != "auto":
        strategy, reason = choose_strategy(config, devices)
    return Plan(config, device, devices, mfu, micro_batch_reason, strategy, reason)
