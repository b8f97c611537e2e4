"""The record types of `metrics.jsonl`, one class a type. Times are Unix seconds (UTC), GB is 10⁹ bytes.

A record in memory holds real floats, `nan` and `inf` included; on disk these are the strings `"nan"`, `"inf"`
and `"-inf"`, because JSON has no such numbers.
"""

from __future__ import annotations

import time as _time
from typing import Annotated, Any, Literal

import msgspec

SCHEMA_VERSION = 1
# What a float64 column and an int64 file can hold, and what has no more digits than a screen has room for.
Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


OwnMetrics = dict[str, float | None]
"""Any name, slashes, blanks and Unicode allowed; null is unknown, as if the name were not there."""

LATEST_TIME = 1e11
"""Unix seconds of the year 5138: a time at or past it, or below 0, is not one. From here to LATEST_MILLISECONDS it is
one in milliseconds, which reading turns into seconds."""
LATEST_MILLISECONDS = 1e13


def usable_time(time: float) -> bool:
    """Whether a number can be a time in Unix seconds."""
    return 0 <= time < LATEST_TIME


class Record(msgspec.Struct, kw_only=True, tag_field="type"):
    """What every record has."""

    time: float = msgspec.field(default_factory=_time.time)


class Architecture(msgspec.Struct, kw_only=True):
    """The network of a run and its parameter counts; unknown is None."""

    name: str
    params_total: Whole | None = None
    params_trainable: Whole | None = None
    params_non_embedding: Whole | None = None
    n_layers: Whole | None = None
    d_model: Whole | None = None
    n_heads: Whole | None = None
    n_kv_heads: Whole | None = None
    head_dim: Whole | None = None
    d_ff: Whole | None = None
    vocab_size: Whole | None = None
    seq_len: Whole | None = None
    norm: str | None = None
    norm_position: str | None = None
    position: str | None = None
    ffn: str | None = None
    bias: bool | None = None
    tied_embeddings: bool | None = None


class Hardware(msgspec.Struct, kw_only=True):
    """The devices of a run. peak_tflops is of one device, dense, in the training dtype."""

    device: str
    device_type: str | None = None
    """torch's name for it: cuda or cpu."""
    count: int = 1
    peak_tflops: float | None = None
    peak_source: str | None = None
    memory_gb: float | None = None


class Parallel(msgspec.Struct, kw_only=True):
    """How the run is spread over processes. nodes: machines that train together; None is unknown."""

    strategy: str
    world_size: int = 1
    nodes: int | None = None
    accumulation: int | None = None
    activation_checkpointing: str | None = None


class Software(msgspec.Struct, kw_only=True):
    """Versions; None is unknown."""

    tuitrain: str | None = None
    torch: str | None = None
    cuda: str | None = None
    python: str | None = None
    git_commit: str | None = None


class Run(Record, tag="run", kw_only=True):
    """The first record of each attempt: what the run is."""

    run_id: str
    name: str
    schema: int = SCHEMA_VERSION
    attempt: int = 1
    config: dict[str, Any] = {}
    architecture: Architecture | None = None
    flops_per_token: float | None = None
    flops_per_token_causal: float | None = None
    tokens_per_step: Whole | None = None
    total_steps: Whole | None = None
    token_budget: Whole | None = None
    hardware: Hardware | None = None
    parallel: Parallel | None = None
    attention_backend: str | None = None
    dtype: str | None = None
    compile: bool | None = None
    software: Software | None = None
    parent: str | msgspec.UnsetType = msgspec.UNSET
    """Of a fork the id of the run from whose checkpoint it goes on, and the step of that."""
    parent_step: Whole | msgspec.UnsetType = msgspec.UNSET
    update: bool | msgspec.UnsetType = msgspec.UNSET
    """Whether it adds to the `run` record before it, such as configuration that came late, and begins no attempt."""
    logged_summary: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    """What the program says of the outcome itself, beside its metrics, as with W&B's `run.summary`."""
    x_axes: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    """Metrics that are drawn over another metric and not over the steps, as with W&B's `define_metric`: each with that
    metric."""


def parent_of(run: Run | None) -> tuple[str, int] | None:
    """The id of the run that a fork goes on from, and the step; None where it is none."""
    if run is None or not isinstance(run.parent, str) or not isinstance(run.parent_step, int):
        return None
    return run.parent, run.parent_step


class Stage(Record, tag="stage", kw_only=True):
    """What an attempt does before its first step: it lasts until the next such record, a `step` or an `end`.

    The stages before the configuration is complete come before the `run` record. done: how much of it, 0–1; None where
    that is unknown.
    """

    stage: str
    done: float | None = None


class Step(Record, tag="step", kw_only=True, gc=False):
    """One optimizer step. tokens is cumulative over all ranks; mfu and accuracy lie in 0–1.

    What the engine measures at every step is always written, null when unknown; the keys after grad_norm are written
    only by the steps that measure them. Several records of one step in a row add up; the later value of a key wins.
    """

    step: Whole
    tokens: Whole | None = None
    loss: float | None = None
    accuracy: float | None = None
    lr: float | None = None
    step_time_ms: float | None = None
    data_time_ms: float | None = None
    tokens_per_sec: float | None = None
    tflops: float | None = None
    mfu: float | None = None
    mfu_causal: float | None = None
    mem_allocated_gb: float | None = None
    mem_peak_gb: float | None = None
    mem_reserved_gb: float | None = None
    grad_norm: float | None = None
    grad_mean: float | msgspec.UnsetType | None = msgspec.UNSET
    grad_std: float | msgspec.UnsetType | None = msgspec.UNSET
    grad_max: float | msgspec.UnsetType | None = msgspec.UNSET
    grad_nonfinite: Whole | msgspec.UnsetType | None = msgspec.UNSET
    """Elements of the gradient that are nan or infinite."""
    param_norm: float | msgspec.UnsetType | None = msgspec.UNSET
    """Norm of all parameters before the update."""
    update_norm: float | msgspec.UnsetType | None = msgspec.UNSET
    """Norm of what the optimizer changed."""
    step_time_max_ms: float | msgspec.UnsetType | None = msgspec.UNSET
    """With several processes: the longest step time of any, up to the step before this one."""
    slowest_rank: Whole | msgspec.UnsetType | None = msgspec.UNSET
    """The process that took longest until it could do nothing more without the others."""
    rank_skew_ms: float | msgspec.UnsetType | None = msgspec.UNSET
    """How much longer it took until then than the fastest."""
    metrics: OwnMetrics | msgspec.UnsetType = msgspec.UNSET
    """Metrics of one's own by their names."""
    late: bool | msgspec.UnsetType = msgspec.UNSET
    """Whether it adds to a step before the newest one; without it a lower step is of an attempt that went back."""


class Layers(Record, tag="layers", kw_only=True):
    """One number per block, embedding first, head last. update_ratio is update_norm / param_norm."""

    step: Whole
    grad_norm: list[float] = []
    update_ratio: list[float] = []
    param_norm: list[float] = []
    update_norm: list[float] = []


class Eval(Record, tag="eval", kw_only=True):
    """An evaluation on a split that is not trained on.

    Two losses are of the same quantity only where split and split_fingerprint agree.
    """

    step: Whole
    loss: float | None = None
    tokens: Whole | None = None
    split: str = "val"
    """Its name."""
    sequences: Whole | None = None
    """How many sequences were evaluated, each once."""
    split_fingerprint: str | None = None
    """Identifies these very sequences; None: unknown."""
    accuracy: float | None = None
    perplexity: float | None = None
    bits_per_byte: float | None = None
    """The loss of all targets in bits, by the bytes of their text in UTF-8: comparable between tokenizers; None:
    unknown."""
    bytes: Whole | None = None
    """Of the text of the targets."""
    text_fingerprint: str | None = None
    """Identifies the text of the whole split, whatever the tokenizer; None: unknown."""
    text_fraction: float | None = None
    """The share of that split which was evaluated; None: unknown."""
    duration_ms: float | None = None
    metrics: OwnMetrics | msgspec.UnsetType = msgspec.UNSET
    """Metrics of one's own by their names."""


class Sample(Record, tag="sample", kw_only=True):
    """Text the model wrote."""

    step: Whole
    text: str
    prompt: str = ""


class Checkpoint(Record, tag="checkpoint", kw_only=True):
    """A checkpoint that is complete on disk; path is relative to the run directory."""

    step: Whole
    path: str
    bytes: Whole | None = None
    duration_ms: float | None = None


class Gpu(msgspec.Struct, kw_only=True):
    """Readings of one GPU; None is unknown."""

    index: int
    name: str | None = None
    util_percent: float | None = None
    mem_used_gb: float | None = None
    mem_total_gb: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    temp_c: float | None = None
    sm_clock_mhz: float | None = None
    mem_clock_mhz: float | None = None
    throttle: list[str] | None = None
    """Why the clocks are lower than they could be, of THROTTLE_REASONS; empty where nothing holds them back."""
    ecc_uncorrected: Whole | None = None
    """Uncorrected memory errors since the driver was loaded."""
    xids: list[int] | None = None
    """Numbers of the XID errors since the reading before."""


THROTTLE_REASONS = ("sw_power_cap", "hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake")


class System(Record, tag="system", kw_only=True):
    """Readings of the machine of the main process; also the heartbeat of the run.

    Rates are means since the reading before, so the first of an attempt has none. MB is 10⁶ bytes.
    """

    host: str
    cpu_percent: float | None = None
    ram_used_gb: float | None = None
    ram_total_gb: float | None = None
    disk_used_gb: float | None = None
    """Of the file system that the run directory is on."""
    disk_total_gb: float | None = None
    disk_read_mb_s: float | None = None
    """Of all disks of the machine."""
    disk_write_mb_s: float | None = None
    net_sent_mb_s: float | None = None
    """Over all network interfaces but the loopback and bridges; InfiniBand is none of them."""
    net_recv_mb_s: float | None = None
    gpus: list[Gpu] = []
    rank_step_ms: list[float] | msgspec.UnsetType = msgspec.UNSET
    """With several processes: the mean step time of each since the reading before, by rank."""
    rank_busy_ms: list[float] | msgspec.UnsetType = msgspec.UNSET
    """The part of it until the process could do nothing more without the others."""


class Alert(Record, tag="alert", kw_only=True):
    """Something a person should know; code is stable, message is for reading."""

    level: Literal["info", "warning", "critical"]
    code: str
    message: str
    step: Whole | None = None


class Control(Record, tag="control", kw_only=True):
    """A request that was left in the control directory, and what came of it."""

    request: str
    result: str


class End(Record, tag="end", kw_only=True):
    """The last record of an attempt."""

    status: Literal["completed", "stopped", "failed"]
    reason: str | None = None
    step: Whole | None = None
    tokens: Whole | None = None
    summary: dict[str, Any] = {}


AnyRecord = Run | Stage | Step | Layers | Eval | Sample | Checkpoint | System | Alert | Control | End
RECORD_TYPES: tuple[type[Record], ...] = (
    Run, Stage, Step, Layers, Eval, Sample, Checkpoint, System, Alert, Control, End,
)  # fmt: skip
