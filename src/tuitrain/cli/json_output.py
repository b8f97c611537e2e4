"""What `--json` prints, command by command: the models behind `tuitrain schema json` and docs/json.md.

The commands build their output themselves; tests hold it against these models. Unknown is null, and numbers that JSON
lacks are the strings "nan", "inf" and "-inf".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tuitrain.accounting.budget import BudgetTime
from tuitrain.accounting.fit import Change
from tuitrain.launch.doctor import Finding
from tuitrain.launch.smoke import Check

Number = float | Literal["nan", "inf", "-inf"] | None
Status = Literal["starting", "running", "stalled", "completed", "stopped", "failed", "crashed", "unknown"]
RunId = Annotated[str, Field(description="name of the run directory")]


class _Object(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class RunFacts(_Object):
    """A run at a snapshot."""

    run_id: RunId
    path: str
    """Its directory."""
    name: str
    status: Status
    step: int | None
    total_steps: int | None
    tokens: int | None
    """Tokens trained on so far."""
    loss: Number
    """The newest."""
    val_loss: Number
    """The newest on the validation split."""
    mfu: Number
    """0-1."""
    tokens_per_sec: Number
    eta_s: Number
    """Seconds that are left of a live run."""
    wall_time_s: Number
    """Seconds it took, without the time between attempts."""
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
    notes: list[str]


class SplitOutcome(_Object):
    """Newest and lowest loss of a split."""

    final: Number
    final_step: int | None
    best: Number
    best_step: int | None


class Show(RunFacts):
    """A run in full."""

    run: dict[str, Any] | None
    """The newest `run` record of its log: see `tuitrain schema events`."""
    newest: dict[str, Number]
    """The newest value of each key of its `step` records."""
    summary: dict[str, Any]
    """Its outcome; durations in seconds, `peak_memory_gb`, `total_flops`."""
    evaluations: dict[str, SplitOutcome]
    """By the name of the split."""
    config_difference: dict[str, tuple[Any, Any]]
    """Keys that differ from the preset: the preset's value and the run's."""


class Logs(_Object):
    """Console output."""

    run_id: RunId
    lines: list[str]


class Tags(_Object):
    """The tags that a run has now."""

    run_id: RunId
    tags: list[str]


class Notes(_Object):
    """The notes that a run has now."""

    run_id: RunId
    notes: list[str]


class Removed(_Object):
    """A run that was removed."""

    run_id: RunId
    path: str
    bytes: int


class Stopped(_Object):
    """How a run is after `stop`."""

    run_id: RunId
    status: Status


class Asked(_Object):
    """A request that was left."""

    run_id: RunId
    request: Literal["checkpoint", "eval", "snapshot"]


class Sampled(_Object):
    """A text of a checkpoint."""

    run_id: RunId
    step: int
    prompt: str
    text: str


class Started(_Object):
    """A run that was started; with --detach its pid, else how it ended."""

    run_id: RunId
    path: str
    pid: int | None = None
    status: Status | None = None
    exit_code: int | None = None


class Smoke(_Object):
    """The smoke test. kept: the directory of a run that failed."""

    ok: bool
    checks: list[Check]
    kept: str | None


class Metric(_Object):
    """A metric of a comparison, by run id; of groups by their names, with spreads and counts."""

    key: str
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


class ConfigRow(_Object):
    """A key that differs, by run id."""

    key: str
    values: dict[str, str]


class Comparison(_Object):
    """Runs side by side."""

    runs: dict[str, str]
    """Names by run id."""
    baseline: str
    at: dict[str, float] | None
    """The point of an axis at which they are compared; null is the end of each."""
    metrics: list[Metric]
    config: list[ConfigRow]
    groups: dict[str, list[str]] | None = None
    broken_lines: dict[str, int]
    verdict: list[str]


class Parameters(_Object):
    """Parameters by what they are for."""

    total: int
    embedding: int
    positions: int
    attention: int
    feedforward: int
    norms: int
    head: int
    matmul: int
    non_embedding: int


class MemoryBytes(_Object):
    """The estimate at the peak of a step, on each device."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    temporary: int
    total: int


class Device(_Object):
    """What is trained on."""

    kind: str
    name: str
    memory_gb: float
    count: int
    peak_tflops: float | None


class Plan(_Object):
    """What a configuration costs. Of `launch --dry-run` also the command."""

    name: str
    architecture: str
    parameters: Parameters | None
    flops_per_token: float | None
    flops_per_token_causal: float | None
    tokens_per_step: int
    total_steps: int
    tokens: int
    schedule: str
    warnings: list[str]
    token_budget: int | None
    data_token_limit: int | None
    least_epochs: float | None
    micro_batch_size: int | None
    micro_batch_reason: str | None
    accumulation: int | None
    strategy: str | None
    strategy_reason: str
    device: Device
    dtype: str
    memory_bytes: MemoryBytes | None
    usable_memory_bytes: int
    fits: bool | None
    would_fit: list[Change]
    would_fit_on_more: list[Change]
    mfu: float
    time: BudgetTime | None
    config: dict[str, Any]
    """See `tuitrain schema config`."""
    command: list[str] | None = None


class Preset(_Object):
    """A preset and whether it fits this machine."""

    name: str
    aliases: list[str]
    title: str
    architecture: str
    parameters: Parameters | None
    memory_bytes: MemoryBytes | None
    fits: bool | None


OUTPUTS: dict[str, Any] = {
    "ls": list[RunFacts],
    "status": RunFacts,
    "show": Show,
    "logs": Logs,
    "compare": Comparison,
    "diff": Annotated[
        dict[str, dict[str, Any]],
        Field(description="By key, then by run id, or by path where two runs have one id: the values that differ."),
    ],
    "tag": Tags,
    "note": Notes,
    "rm": list[Removed],
    "stop": list[Stopped],
    "checkpoint": Asked,
    "eval": Asked,
    "snapshot": Asked,
    "sample": Sampled,
    "launch": Started | Smoke | Plan,
    "resume": Started,
    "plan": Plan,
    "presets": list[Preset],
    "doctor": list[Finding],
    "export": Annotated[list[str], Field(description="Of plots and weights: the files that were written.")],
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
