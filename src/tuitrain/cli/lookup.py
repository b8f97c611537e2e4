"""Runs by their names on the command line. The room `runs` is imported in the functions: `--help` does without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory


def find_runs(names: Sequence[str], runs_dir: Path | None) -> list[RunDirectory]:
    """The runs with these names, of each all that it holds. runs_dir: the flag of the command.

    Raises RunNotFoundError.
    """
    from tuitrain.runs import find_runs as runs_named
    from tuitrain.runs import runs_directory

    directory = runs_directory(runs_dir)
    return [run for name in names for run in runs_named(name, directory)]


def find_one(name: str, runs_dir: Path | None) -> RunDirectory:
    """The one run with this name. runs_dir: the flag of the command. Raises RunNotFoundError, also for several."""
    from tuitrain.runs import find_run, runs_directory

    return find_run(name, runs_directory(runs_dir))
