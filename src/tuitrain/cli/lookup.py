"""Runs by their names on the command line. The room `runs` is imported in the functions: `--help` does without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitrain.events import BrokenLineError, decode

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory

PROBE_BYTES = 256 << 10
"""How much of a file is read to decide whether it is a log."""


def find_runs(names: Sequence[str], runs_dir: Path | None) -> list[RunDirectory]:
    """The runs with these names. runs_dir: the flag of the command. Raises RunNotFoundError."""
    from tuitrain.runs import find_run, runs_directory

    directory = runs_directory(runs_dir)
    return [find_run(name, directory) for name in names]


def find_one(name: str, runs_dir: Path | None) -> RunDirectory:
    """The run with this name. runs_dir: the flag of the command. Raises RunNotFoundError."""
    return find_runs([name], runs_dir)[0]


def find_logs(names: Sequence[str], runs_dir: Path | None) -> list[RunDirectory]:
    """The runs with these names, to draw their logs. Raises RunNotFoundError, also for a file that is not a log."""
    from tuitrain.runs import RunNotFoundError

    runs = find_runs(names, runs_dir)
    for run in runs:
        if not _may_be_log(run.metrics):
            raise RunNotFoundError(f"{run.metrics} is not the log of a run: none of its lines is a record.")
    return runs


def _may_be_log(path: Path) -> bool:
    """Whether any of the first lines of a file is a record, or it has no complete line yet."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        *lines, rest = file.read(PROBE_BYTES).split(b"\n")
    for line in lines:
        try:
            decode(line)
        except BrokenLineError:
            continue
        return True
    return not any(map(bytes.strip, lines)) and rest.lstrip()[:1] in (b"", b"{")
