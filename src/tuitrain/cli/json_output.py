"""Models of what `--json` prints, by command, for `tuitrain schema json` and docs/json.md.

The commands build their output themselves; tests check it against these models. Unknown is null, and numbers that JSON
lacks are the strings "nan", "inf" and "-inf".
"""

from __future__ import annotations

from types import GenericAlias
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from tuitrain.accounting import BudgetTime, Change, MemoryEstimate, ParameterCounts
from tuitrain.accounting.statistics import Percentiles
from tuitrain.accounting.summary import Summary, TimeSpent
from tuitrain.launch.doctor import Finding
from tuitrain.launch.machine import Device
from tuitrain.launch.smoke import Check

StatusName = Literal[
    "queued", "starting", "running", "stalled", "paused", "completed", "stopped", "failed", "crashed", "interrupted",
    "unknown",
]  # fmt: skip
Number = float | Literal["nan", "inf", "-inf"] | None
ToolNumber = float | Literal["NaN", "Infinity", "-Infinity"]
"""As most tools' JSON has it."""
RunId = Annotated[str, Field(description="name of the run directory")]


class _Object(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


def _object(name: str, description: str, base: type[_Object] = _Object, /, **types: Any) -> Any:
    """A model with these keys, and those of the base. A key that may be missing has a type and a default."""
    fields: dict[str, Any] = {key: kind if isinstance(kind, tuple) else (kind, ...) for key, kind in types.items()}
    return create_model(name, __base__=base, __doc__=description, **fields)


def _list_of(item: Any) -> Any:
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


_PERCENTILES = _object("Percentiles", "Of the values that a log has of a metric.", p5=float, p50=float, p95=float)
_TIME = _object(
    "TimeSpent",
    "Where the wall clock went, in seconds that add up to elapsed_s; data_wait_s is in training_s.",
    **get_type_hints(TimeSpent),
)
_SUMMARY = _object(
    "Summary",
    "The outcome of a run. Durations in seconds, shares 0-1; each key is defined in docs/log-format.md.",
    **{name: _with_non_finite(kind) for name, kind in get_type_hints(Summary).items()},
)


class RunState(_Object):
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
    created: Number
    """Unix seconds of its launch."""
    last_time: Number
    """Unix seconds of its newest record."""
    tags: list[str]
    group: str | None
    """The sweep that it belongs to."""
    notes: list[str]


class SplitOutcome(_Object):
    """Newest and lowest loss of a split, and bits per byte."""

    final: Number
    final_step: int | None
    best: Number
    best_step: int | None
    final_bits_per_byte: Number
    best_bits_per_byte: Number


class SourceMetric(_Object):
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


class AlertState(_Object):
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


RunDetails = _object(
    "RunDetails",
    "A run with its configuration, metrics and summary.",
    _RunDetails,
    summary=Annotated[_SUMMARY, Field(description="Its outcome.")],
)


class Welch(_Object):
    """Welch's t-test of the mean of a group against that of the baseline, two-sided, not corrected for many tests."""

    t: float
    df: float
    p: float


class Metric(_Object):
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


class AuditFinding(_Object):
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


class AuditOutcome(_Object):
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


class ConfigRow(_Object):
    """A key that differs, by run id."""

    key: str
    values: dict[str, str]


class Scaling(_Object):
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


class Comparison(_Object):
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


_Parameters = _object(
    "Parameters", "Parameters by what they are for.", **get_type_hints(ParameterCounts), non_embedding=int
)
_Memory = _object(
    "MemoryBytes",
    "The estimate at the peak of a step, on each device.",
    **{name: kind for name, kind in get_type_hints(MemoryEstimate).items() if name != "moment"},
    total=int,
)
_Plan = _object(
    "Plan",
    "What a configuration costs. Of `launch --dry-run` also the command.",
    name=str,
    architecture=str,
    parameters=_Parameters | None,
    flops_per_token=float | None,
    flops_per_token_causal=float | None,
    tokens_per_step=int,
    total_steps=int,
    tokens=int,
    schedule=str,
    warnings=list[str],
    token_budget=int | None,
    data_token_limit=int | None,
    least_epochs=float | None,
    micro_batch_size=int | None,
    micro_batch_reason=str | None,
    accumulation=int | None,
    strategy=str | None,
    strategy_reason=str,
    device=_object("Device", "What is trained on.", **get_type_hints(Device), count=int, peak_tflops=float | None),
    dtype=str,
    memory_bytes=_Memory | None,
    usable_memory_bytes=int,
    fits=bool | None,
    would_fit=list[Change],
    would_fit_on_more=list[Change],
    mfu=float,
    time=BudgetTime | None,
    config=Annotated[dict[str, Any], Field(description="See `tuitrain schema config`.")],
    command=(list[str] | None, None),
)
_Preset = _object(
    "Preset",
    "A preset and whether it fits this machine.",
    name=str,
    aliases=list[str],
    title=str,
    architecture=str,
    parameters=_Parameters | None,
    memory_bytes=_Memory | None,
    fits=bool | None,
)
_Started = _object(
    "Started",
    "A run that was started; with --detach its pid, else how it ended.",
    run_id=RunId,
    path=str,
    pid=(int | None, None),
    status=(StatusName | None, None),
    exit_code=(int | None, None),
)
_Sweep = _object("Sweep", "A group of runs that were queued.", group=str, runs=_list_of(_Started))
_Smoke = _object(
    "Smoke",
    "The smoke test. kept: the directory of a run that failed.",
    ok=bool,
    checks=list[Check],
    kept=str | None,
)
_Request = _object(
    "Request",
    "A request to a live run.",
    run_id=RunId,
    request=Literal["checkpoint", "eval", "snapshot", "pause", "continue"],
)

_Unread = _object("Unread", "A line or record that could not be read.", file=str, number=int, reason=str)
_Imported = _object(
    "Imported", "A run that was made from the log of another tool.", run_id=RunId, path=str, name=str, log=str,
    format=str, records=int, unread_count=int, unread=_list_of(_Unread),
)  # fmt: skip
OUTPUTS: dict[str, Any] = {
    "ls": list[RunState],
    "status": RunState,
    "show": RunDetails,
    "check": _list_of(
        _object(
            "Checked",
            "A run and its alerts. problem: why its log cannot be read.",
            run_id=RunId,
            path=str,
            status=StatusName,
            problem=str | None,
            alerts=list[AlertState],
        )
    ),
    "logs": _object("Logs", "Console output.", run_id=RunId, lines=list[str]),
    "compare": Comparison,
    "audit": list[AuditOutcome],
    "diff": Annotated[
        dict[str, dict[str, Any]],
        Field(description="By key, then by run id, or by path where two runs have one id: the values that differ."),
    ],
    "tag": _object("Tags", "The tags that a run has now.", run_id=RunId, tags=list[str]),
    "note": _object("Notes", "The notes that a run has now.", run_id=RunId, notes=list[str]),
    "import": _list_of(_Imported),
    "rm": _list_of(_object("Removed", "A run that was removed.", run_id=RunId, path=str, bytes=int)),
    "stop": _list_of(_object("Stopped", "The status of a run after `stop`.", run_id=RunId, status=StatusName)),
    "checkpoint": _Request,
    "eval": _Request,
    "snapshot": _Request,
    "pause": _Request,
    "continue": _Request,
    "sample": _object("Sampled", "Text generated from a checkpoint.", run_id=RunId, step=int, prompt=str, text=str),
    "launch": _Started | _Sweep | _Smoke | _Plan,
    "resume": _Started,
    "queue": _list_of(_object("Queued", "A run that waits.", position=int, run_id=RunId, processes=int, on_gpu=bool)),
    "fork": _Started,
    "plan": _Plan,
    "presets": _list_of(_Preset),
    "doctor": list[Finding],
    "export": Annotated[list[str], Field(description="Paths of the files, of plots, report and weights.")],
}
"""By command. `presets NAME` prints the configuration of a preset, `schema` is JSON itself."""


def check_output(command: str, text: str) -> Any:
    """What a command printed, read by its model. Raises ValidationError where it is something else."""
    return TypeAdapter(OUTPUTS[command]).validate_json(text)


def json_output_schema() -> dict[str, Any]:
    """JSON Schema of an object with what each command prints."""
    kinds = [(command, "validation", TypeAdapter(kind)) for command, kind in OUTPUTS.items()]
    by_command, shared = TypeAdapter.json_schemas(kinds)  # type: ignore[arg-type]
    properties = {command: schema for (command, _), schema in by_command.items()}
    return {"type": "object", "properties": properties, "$defs": shared["$defs"]}
