"""Models of the objects that `--json` prints; json_output.py says which command prints which."""

from __future__ import annotations

from types import GenericAlias
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from tuitrain.accounting.statistics import Percentiles
from tuitrain.accounting.summary import Summary, TimeSpent

StatusName = Literal[
    "queued", "starting", "running", "stalled", "paused", "completed", "stopped", "failed", "crashed", "interrupted",
    "unknown",
]  # fmt: skip
Number = float | Literal["nan", "inf", "-inf"] | None
ToolNumber = float | Literal["NaN", "Infinity", "-Infinity"]
"""As most tools' JSON has it."""
RunId = Annotated[str, Field(description="name of the run directory")]


class JsonObject(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class _Created(JsonObject):
    # It has no source to look for docstrings in, which takes long.
    model_config = ConfigDict(use_attribute_docstrings=False)


def object_type(name: str, description: str, base: type[JsonObject] = _Created, /, **types: Any) -> Any:
    """A model with these keys, and those of the base. A key that may be missing has a type and a default."""
    fields: dict[str, Any] = {key: kind if isinstance(kind, tuple) else (kind, ...) for key, kind in types.items()}
    return create_model(name, __base__=base, __doc__=description, **fields)


def list_of(item: Any) -> Any:
    return GenericAlias(list, item)


def _with_non_finite(kind: Any) -> Any:
    """The type of a field as JSON has it: numbers that JSON lacks are words, dataclasses are objects."""
    names = {
        float: Number,
        float | None: Number,
        Percentiles | None: _PERCENTILES | None,
        TimeSpent | None: _TIME | None,
    }
    return names.get(kind, kind)


_PERCENTILES = object_type("Percentiles", "Of the values that a log has of a metric.", p5=float, p50=float, p95=float)
_TIME = object_type(
    "TimeSpent",
    "Where the wall clock went, in seconds that add up to elapsed_s; data_wait_s is in training_s.",
    **get_type_hints(TimeSpent),
)
_SUMMARY = object_type(
    "Summary",
    "The outcome of a run. Durations in seconds, shares 0-1; each key is defined in docs/log-format.md.",
    **{name: _with_non_finite(kind) for name, kind in get_type_hints(Summary).items()},
)


class RunState(JsonObject):
    """The state of a run."""

    run_id: RunId
    path: str
    """Its directory."""
    name: str
    status: StatusName
    step: int | None
    total_steps: int | None
    tokens: int | None
    """Tokens trained on so far."""
    loss: Number
    """The newest."""
    val_loss: Number
    """The newest on the validation split."""
    bits_per_byte: Number
    """Of the newest evaluation."""
    mfu: Number
    """0-1."""
    tokens_per_sec: Number
    eta_s: Number
    """Seconds that are left of a live run."""
    wall_time_s: Number
    """Seconds it took, without the time between attempts."""
    tokens_per_parameter: Number
    gpu_hours: Number
    """GPUs times wall_time_s; null on a CPU."""
    cost_usd: Number
    """At the price of a GPU-hour of the flag or the settings."""
    broken_lines: int
    """Lines of the log that could not be read; at least so many where every_line_read is false."""
    every_line_read: bool
    problem: str | None
    """Why the log or run.json cannot be read."""
    reason: str | None
    """Why it ended."""
    job_id: str | None
    """Of its job, where a scheduler runs it."""
    job_state: str | None
    """Slurm's word for the state of the job, such as PENDING; empty: it is no longer in the queue."""
    job_reason: str | None
    """Why the job waits."""
    job_start: Number
    """Unix seconds when the job started or is expected to."""
    created: Number
    """Unix seconds of its launch."""
    last_time: Number
    """Unix seconds of its newest record."""
    tags: list[str]
    group: str | None
    """The sweep that it belongs to."""
    queue_position: int | None
    """Of a queued run: which of those that wait it is, the first being 1."""
    notes: list[str]


class SplitOutcome(JsonObject):
    """Newest and lowest loss of a split, and bits per byte."""

    final: Number
    final_step: int | None
    best: Number
    best_step: int | None
    final_bits_per_byte: Number
    best_bits_per_byte: Number


class SourceMetric(JsonObject):
    """The points of a metric, whose values are spelled as JSON's writers do."""

    key: str | None
    """The metric of ours that it is; null for one of the tool's or the loop's own."""
    points: int
    first_x: float
    last_x: float
    first: ToolNumber
    last: ToolNumber
    min: ToolNumber
    """Of the finite values, as `max`."""
    max: ToolNumber
    non_finite: int


class AlertState(JsonObject):
    """An alert: of the log itself, of a rule, or how the run stands at this moment."""

    time: float
    """Unix seconds."""
    level: Literal["info", "warning", "critical"]
    code: str
    """Of the rule, or that of the log."""
    message: str
    step: int | None


class _RunDetails(RunState):
    run: dict[str, Any] | None
    """The newest `run` record of its log: see `tuitrain schema events`."""
    newest: dict[str, Number]
    """The newest value of each key of its `step` records, and of each metric of one's own."""
    logged_summary: dict[str, Any]
    """What the program says of the outcome itself, as in W&B's summary, besides the newest values of its metrics."""
    generalization: str | None
    """A sentence on the gap between training and validation loss."""
    evaluations: dict[str, SplitOutcome]
    """By the name of the split."""
    config_difference: dict[str, tuple[Any, Any]]
    """Keys that differ from the preset: the preset's value and the run's."""
    alerts: list[AlertState]
    format: str
    """Of its log: `tuitrain`, or that of another tool."""
    axis: str
    """What the x axis is called."""
    x_axis_declared: dict[str, str]
    """By metric or pattern: over what W&B's `define_metric` draws it; a counter of the training's steps is used so."""
    hyperparameters: dict[str, Any]
    """Names of nested ones are joined by dots."""
    metrics: dict[str, SourceMetric]
    """By the tool's own names; of a log of ours by the keys, those of evaluations after the split: `val/loss`."""


RunDetails = object_type(
    "RunDetails",
    "A run with its configuration, metrics and summary.",
    _RunDetails,
    summary=Annotated[_SUMMARY, Field(description="Its outcome.")],
)


class Welch(JsonObject):
    """Welch's t-test of the mean of a group against that of the baseline, two-sided, not corrected for many tests."""

    t: float
    df: float
    p: float


class Metric(JsonObject):
    """A metric of a comparison, by run id; of groups by their names, with spreads and counts."""

    key: str
    """Of a metric of one's own its name."""
    title: str
    unit: str
    better: Literal["lower", "higher"] | None
    values: dict[str, Number]
    deltas: dict[str, Number]
    """Relative differences to the baseline."""
    best: str | None
    spreads: dict[str, Number] | None = None
    """Standard deviations."""
    counts: dict[str, int] | None = None
    tests: dict[str, Welch | None] | None = None
    """Against the baseline; null where a group has fewer than two runs or none scatters."""


class AuditFinding(JsonObject):
    """Numbers of a log that do not go together."""

    check: str
    """Its name: see docs/audit.md."""
    severity: Literal["impossible", "suspicious"]
    """impossible: they cannot all be true."""
    message: str
    likelier: str | None
    """Which of them is right, or what explains the difference, where something tells."""
    values: dict[str, Number]
    """The numbers, by what they are."""
    first_step: int | None
    """Of the steps concerned; null is the whole run."""
    last_step: int | None


class AuditOutcome(JsonObject):
    """What the checks of a run found."""

    run_id: RunId
    path: str
    """Its log."""
    impossible: int
    """How many findings are of this severity."""
    suspicious: int
    findings: list[AuditFinding]
    agreeing: list[str]
    """Checks without a finding."""
    not_checked: dict[str, str]
    """Checks for which the log lacks something: what."""


class ConfigRow(JsonObject):
    """A key that differs, by run id."""

    key: str
    values: dict[str, str]


class Scaling(JsonObject):
    """loss = k · compute^(-exponent) over three runs or more; compute in FLOP."""

    k: float
    exponent: float
    low: float
    """Of the 95 % interval of the exponent, as `high`."""
    high: float
    r2: float
    """Share of the variance of the log loss that the law explains."""
    from_flops: float
    to_flops: float
    runs: int


class Comparison(JsonObject):
    """Runs side by side."""

    runs: dict[str, str]
    """Names by run id."""
    baseline: str
    at: dict[str, float] | None
    """The point of an axis, or the loss, at which they are compared; null is the end of each."""
    metrics: list[Metric]
    config: list[ConfigRow]
    unconfigured: list[str]
    """Runs or groups with a log without a configuration: whether they differ in it is unknown."""
    groups: dict[str, list[str]] | None = None
    broken_lines: dict[str, int]
    verdict: list[str]
    findings: list[str]
    """The best of each metric, why the speeds differ, how the loss falls with compute."""
    speed: list[Metric]
    """What the speeds are made of, where it differs."""
    scaling: Scaling | None
