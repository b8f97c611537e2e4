"""What a configuration will cost: parameters, FLOPs, memory on a device, time to its token budget."""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.accounting import (
    BudgetTime,
    FlopsPerToken,
    MemoryEstimate,
    ParameterCounts,
    count_parameters,
    estimate_memory,
    flops_per_token,
    peak_tflops,
    time_to_budget,
)
from tuitrain.config import RunConfig
from tuitrain.config.streaming import stream_limit
from tuitrain.launch.machine import GB, Device

DEFAULT_MFU = 0.4
"""Utilisation assumed where nobody states one; well-tuned dense models reach 0.4 to 0.5 on one node."""

SHAKESPEARE_CHARACTERS = 65
"""Distinct characters of the tiny Shakespeare text, whose checksum is fixed."""


@dataclass(frozen=True)
class Plan:
    """The arithmetic of one configuration on `gpus` devices of one kind. Unknown is None.

    parameters, flops and memory are None while the vocabulary is decided by the data; budget is None while the
    device's peak is unknown.
    """

    config: RunConfig
    device: Device
    gpus: int
    dtype: str
    mfu: float
    accumulation: int
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
        """Whether one process fits the device's memory; None is unknown."""
        if self.memory is None:
            return None
        return self.memory.total / GB <= self.device.memory_gb

    @property
    def data_limit(self) -> int | None:
        """Tokens that are read of the source at most, held-out ones included; None: all it has."""
        data = self.config.data
        if data.max_tokens is not None or not data.source.startswith("hf:"):
            return data.max_tokens
        return stream_limit(self.tokens)

    @property
    def least_epochs(self) -> float | None:
        """How often the run goes over its training tokens at the least, when the source is cut below its tokens."""
        if self.data_limit is None or self.data_limit >= self.tokens:
            return None
        return self.tokens / (self.data_limit * (1 - self.config.data.val_fraction))


def known_vocabulary(config: RunConfig) -> int | None:
    """Ids of the tokenizer where its name, or a known text, tells; the ids of `bin:` files were made elsewhere."""
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


def with_known_vocabulary(config: RunConfig) -> RunConfig:
    """The configuration with the vocabulary size filled in where it is unset and known."""
    size = known_vocabulary(config)
    return config if config.model.vocab_size is not None or size is None else config.with_vocab_size(size)


def make_plan(config: RunConfig, device: Device, *, gpus: int = 1, mfu: float = DEFAULT_MFU) -> Plan:
    """Plan a run on `gpus` processes, one device each. Raises ConfigError when the batch does not divide."""
    config = with_known_vocabulary(config)
    accumulation = config.accumulation(gpus)
    dtype = device.dtype(config.train.dtype)
    peak = config.hardware.peak_tflops or peak_tflops(device.name, dtype)
    parameters = flops = memory = budget = None
    if config.model.vocab_size is not None:
        parameters, flops = count_parameters(config.model), flops_per_token(config.model)
        memory = estimate_memory(
            config, dtype=dtype, world_size=gpus, device_type="cpu" if device.kind == "cpu" else "cuda"
        )
        if peak is not None:
            tokens = config.total_steps * config.tokens_per_step
            budget = time_to_budget(tokens, flops.full, peak_tflops=peak, mfu=mfu, gpus=gpus)
    return Plan(config, device, gpus, dtype, mfu, accumulation, parameters, flops, memory, peak, budget)
