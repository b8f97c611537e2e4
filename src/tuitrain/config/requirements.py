"""What a configuration needs of the device and the number of processes: rules that launcher and engine share."""

from __future__ import annotations

from tuitrain.config.errors import ConfigError
from tuitrain.config.run_config import RunConfig
from tuitrain.config.sections import ModelConfig, ParallelConfig

CPU_ATTENTION = ("auto", "flash", "math")
FLEX_MIN_HEAD_DIM = 16
"""Smallest head that the Triton kernel of FlexAttention takes."""


def check_attention(model: ModelConfig, device_type: str | None = None) -> None:
    """Raise ConfigError when the attention backend cannot run this model on `cuda` or `cpu`; None: on any device."""
    backend, key = model.attention_backend, "model.attention_backend"
    problem = None
    if backend == "flash" and device_type == "cuda" and model.masks:
        problem = f"takes no mask, which {model.masks[-1]} needs: use auto, flex, efficient or math"
    elif device_type == "cpu" and backend not in CPU_ATTENTION:
        problem = f"needs CUDA: on CPU use {', '.join(CPU_ATTENTION)}"
    elif backend == "flex" and model.dropout:
        problem = f"has no dropout (model.dropout = {model.dropout:g}): set model.dropout=0 or use auto"
    elif backend == "flex" and device_type == "cuda" and model.head_dim < FLEX_MIN_HEAD_DIM:
        problem = f"needs model.head_dim of at least {FLEX_MIN_HEAD_DIM}, not {model.head_dim}: use auto"
    if problem:
        raise ConfigError(f"{key} = {backend!r} {problem}.", key)


def check_float8(device_type: str, dtype: str, *, torchao: bool) -> None:
    """Raise ConfigError unless train.float8 can be used. dtype: of the arithmetic; torchao: whether it is installed."""
    problem = None
    if device_type == "cpu":
        problem = (
            "a CUDA device of compute capability 8.9 or more, and this run trains on the CPU: set train.float8=false"
        )
    elif dtype != "bfloat16":
        problem = f"train.dtype = bfloat16, not {dtype}: set one of the two"
    elif not torchao:
        problem = "torchao: pip install 'tuitrain[float8]', or set train.float8=false"
    if problem:
        raise ConfigError(f"train.float8 needs {problem}.", "train.float8")


def check_vocabulary(rows: int | None, tokenizer: str, size: int) -> None:
    """Raise ConfigError when model.vocab_size, if it is set, has fewer rows than the tokenizer has tokens."""
    if rows is not None and rows < size:
        raise ConfigError(
            f"model.vocab_size = {rows:,} is smaller than the vocabulary of data.tokenizer = {tokenizer!r} ({size:,}): "
            "leave it unset (model.vocab_size=none) or raise it.",
            "model.vocab_size",
        )


def check_processes(config: RunConfig, processes: int, nodes: int = 1) -> None:
    """Raise ConfigError unless batch and strategy suit this many processes of so many machines."""
    config.with_least_micro_batch().accumulation(processes, nodes)
    check_strategy(config.parallel, processes, nodes)


def node_counts(config: RunConfig, most: int, least: int, processes: int) -> list[int]:
    """With how many of its nodes a run can train, each of so many processes: those that batch and strategy suit.

    Raises ConfigError where it cannot with most of them, or where it may lose some but can with no fewer.
    """
    check_processes(config, most * processes, most)
    counts, error = [most], None
    for count in range(most - 1, least - 1, -1):
        try:
            check_processes(config, count * processes, count)
            counts.append(count)
        except ConfigError as refusal:
            error = refusal
    if len(counts) == 1 and error is not None:
        raise error
    return sorted(counts)


def check_strategy(parallel: ParallelConfig, processes: int, nodes: int = 1) -> None:
    """Raise ConfigError unless the strategy suits this many processes."""
    strategy, key = parallel.strategy, "parallel.strategy"
    if strategy == "single" and processes > 1:
        raise ConfigError(
            f"{key} = 'single' is one process, not {processes}: set it to 'auto' (--strategy auto), or leave out "
            "--gpus.",
            key,
        )
    if strategy not in ("auto", "single") and processes == 1:
        raise ConfigError(
            f"{key} = {strategy!r} needs several processes, and this run has one: set it to 'auto' (--strategy auto), "
            "or start it with --gpus 2 or more.",
            key,
        )
    size = parallel.shard_processes(processes, nodes)
    if strategy == "hsdp" and processes % size:
        divisors = ", ".join(str(size) for size in range(2, processes + 1) if processes % size == 0)
        raise ConfigError(
            f"parallel.shard_size = {size} must divide the number of processes ({processes}): {divisors} would.",
            "parallel.shard_size",
        )
