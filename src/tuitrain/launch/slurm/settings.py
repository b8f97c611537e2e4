"""What a job of Slurm is asked for: flags, `TUITRAIN_SLURM_*`, the table `[slurm]` of the settings files, defaults."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from tuitrain.files import expanded
from tuitrain.settings import SettingsError, converted, given_value, table_entries

TABLE = "slurm"
Requeue = Literal["yes", "resubmit", "no"]
TIME = r"(\d+-\d+(:[0-5]?\d){0,2}|\d+(:[0-5]?\d){0,2}|UNLIMITED|INFINITE)"
"""The forms of a time in Slurm: minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S."""
_TIME_TEXT = 'minutes, "12:00:00", "2-12:00:00" (days-hours) or "UNLIMITED"'
_WORD = r"[^\s\x00-\x1f\x7f]+"
_LINE = r"[^\x00-\x08\x0a-\x1f\x7f]+"


class SlurmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[slurm]`. Unset is what the cluster has as its default."""

    partition: Annotated[str, Meta(pattern=f"^{_WORD}$", description="a partition, or several with commas")] | None = (
        None
    )
    account: Annotated[str, Meta(pattern=f"^{_WORD}$", description="the account that is charged")] | None = None
    time: Annotated[str, Meta(pattern=f"^{TIME}$", description=_TIME_TEXT)] | None = None
    gpu_type: Annotated[str, Meta(pattern=f"^{_WORD}$", description="a type of GPU, as sinfo names it")] | None = None
    cpus: Annotated[int, Meta(ge=1, description="CPUs for each process, from 1 on")] | None = None
    stop_s: Annotated[int, Meta(ge=10, le=65535, description="seconds, from 10 to 65535")] = 120
    """How long before the end of its time a run is stopped, to write its checkpoint."""
    requeue: Annotated[Requeue, Meta(description=f"one of {', '.join(get_args(Requeue))}")] = "yes"
    """How a run that was interrupted goes on: as the same job, as another one where requeueing is forbidden, or not."""
    at_once: Annotated[int, Meta(ge=1, description="a number of runs, from 1 on")] | None = None
    """How many runs of a sweep may run at the same time."""
    arguments: Annotated[
        list[Annotated[str, Meta(pattern=f"^-{_LINE}$")]],
        Meta(description='a list of options of sbatch, such as ["--constraint=a100", "--mem=0"]'),
    ] = []
    setup: Annotated[
        list[Annotated[str, Meta(pattern=f"^{_LINE}$")]],
        Meta(description='a list of lines of the script before the run, such as ["module load cuda"]'),
    ] = []
    template: Annotated[str, Meta(pattern=f"^{_LINE}$", description="a file in place of the script")] | None = None


FIELDS = {field.name: field for field in msgspec.structs.fields(SlurmSettings)}
_LISTS = ("arguments", "setup")
_FLAGS = {"sbatch": "arguments"}


def slurm_settings(flags: Mapping[str, Any] = {}, environ: Mapping[str, str] = os.environ) -> SlurmSettings:
    """The settings that hold here. flags: by name; None is a flag that was not given.

    Options of sbatch are added to each other, those of a flag last, so that they count; of anything else the first that
    is given counts: flag, variable, project, user. Raises SettingsError.
    """
    values: dict[str, Any] = {}

    def use(where: str, name: str, value: Any, *, text: bool = False) -> None:
        checked = converted(where, value, FIELDS[name].type, _description(name), text=text)
        values[name] = [*values.get(name, []), *checked] if name == "arguments" else checked

    for file, name, value in table_entries(TABLE, FIELDS):
        if name == "time" and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        use(f"{file.path}: {TABLE}.{name}", name, value)
        if name == "template":
            # Relative to the file of a project, as its other paths are.
            path = expanded(values[name])
            values[name] = str(file.path.parent / path if file.of_project else path)
    for name in FIELDS:
        variable = f"TUITRAIN_SLURM_{name.upper()}"
        if given := environ.get(variable):
            use(variable, name, _words(variable, given) if name in _LISTS else given, text=True)
    for name, value in flags.items():
        if value is not None and value != []:
            use(f"--{name}", _FLAGS.get(name, name), str(value) if isinstance(value, Path) else value)
    return SlurmSettings(**values)


def _words(variable: str, text: str) -> list[str]:
    """The words of a variable, as a shell divides them."""
    try:
        return shlex.split(text)
    except ValueError:
        raise SettingsError(f"{given_value(variable, text)} is not valid: a quote in it is not closed.") from None


def _description(name: str) -> str:
    kind = FIELDS[name].type
    for part in (kind, *get_args(kind)):
        for note in getattr(part, "__metadata__", ()):
            return str(note.description)
    return "valid"


def table_schema() -> dict[str, Any]:
    """JSON Schema of the table."""
    schema: dict[str, Any] = msgspec.json.schema(SlurmSettings)["$defs"]["SlurmSettings"]
    return schema
