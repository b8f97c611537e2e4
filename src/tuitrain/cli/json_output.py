"""Models of what `--json` prints, by command, for `tuitrain schema json` and docs/json.md.

The commands build their output themselves; tests check it against these models. Unknown is null, and numbers that JSON
lacks are the strings "nan", "inf" and "-inf".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field, TypeAdapter

from tuitrain.accounting import BudgetTime, Change, MemoryEstimate, ParameterCounts
from tuitrain.cli.json_models import (
    AlertState,
    AuditOutcome,
    Comparison,
    RunDetails,
    RunId,
    RunState,
    StatusName,
    list_of,
    object_type,
)
from tuitrain.launch.doctor.finding import Finding
from tuitrain.launch.machine import Device
from tuitrain.launch.smoke import Check

_Parameters = object_type(
    "Parameters", "Parameters by what they are for.", **get_type_hints(ParameterCounts), non_embedding=int
)
_Memory = object_type(
    "MemoryBytes",
    "The estimate at the peak of a step, on each device.",
    **{name: kind for name, kind in get_type_hints(MemoryEstimate).items() if name != "moment"},
    total=int,
)
_Plan = object_type(
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
    device=object_type("Device", "What is trained on.", **get_type_hints(Device), count=int, peak_tflops=float | None),
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
_Preset = object_type(
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
_Started = object_type(
    "Started",
    "A run that was started; with --detach its pid, or the id of its job, else how it ended.",
    run_id=RunId,
    path=str,
    pid=(int | None, None),
    job_id=(str | None, None),
    status=(StatusName | None, None),
    exit_code=(int | None, None),
)
_Sweep = object_type(
    "Sweep",
    "A group of runs that were queued; job_id: of their array in the queue of Slurm.",
    group=str,
    runs=list_of(_Started),
    job_id=(str | None, None),
)
_Script = object_type("Script", "The batch script of `launch --slurm --dry-run`.", script=str)
_Smoke = object_type(
    "Smoke",
    "The smoke test. kept: the directory of a run that failed.",
    ok=bool,
    checks=list[Check],
    kept=str | None,
)
_Request = object_type(
    "Request",
    "A request to a live run.",
    run_id=RunId,
    request=Literal["checkpoint", "eval", "snapshot", "pause", "continue"],
)

_Unread = object_type("Unread", "A line or record that could not be read.", file=str, number=int, reason=str)
_Imported = object_type(
    "Imported", "A run that was made from the log of another tool.", run_id=RunId, path=str, name=str, log=str,
    format=str, records=int, unread_count=int, unread=list_of(_Unread),
)  # fmt: skip
OUTPUTS: dict[str, Any] = {
    "ls": list[RunState],
    "status": RunState,
    "show": RunDetails,
    "check": list_of(
        object_type(
            "Checked",
            "A run and its alerts. problem: why its log cannot be read.",
            run_id=RunId,
            path=str,
            status=StatusName,
            problem=str | None,
            alerts=list[AlertState],
        )
    ),
    "logs": object_type("Logs", "Console output.", run_id=RunId, lines=list[str]),
    "compare": Comparison,
    "audit": list[AuditOutcome],
    "diff": Annotated[
        dict[str, dict[str, Any]],
        Field(description="By key, then by run id, or by path where two runs have one id: the values that differ."),
    ],
    "tag": object_type("Tags", "The tags that a run has now.", run_id=RunId, tags=list[str]),
    "note": object_type("Notes", "The notes that a run has now.", run_id=RunId, notes=list[str]),
    "import": list_of(_Imported),
    "rm": list_of(object_type("Removed", "A run that was removed.", run_id=RunId, path=str, bytes=int)),
    "stop": list_of(object_type("Stopped", "The status of a run after `stop`.", run_id=RunId, status=StatusName)),
    "checkpoint": _Request,
    "eval": _Request,
    "snapshot": _Request,
    "pause": _Request,
    "continue": _Request,
    "sample": object_type("Sampled", "Text generated from a checkpoint.", run_id=RunId, step=int, prompt=str, text=str),
    "launch": _Started | _Sweep | _Smoke | _Plan | _Script,
    "resume": _Started,
    "queue": list_of(
        object_type("Queued", "A run that waits.", position=int, run_id=RunId, processes=int, on_gpu=bool)
    ),
    "fork": _Started,
    "plan": _Plan,
    "presets": list_of(_Preset),
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
