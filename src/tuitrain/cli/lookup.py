"""Runs by their names on the command line. The room `runs` is imported in the functions: `--help` does without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory
    from tuitrain.runs.foreign import Given


def find_runs(
    names: Sequence[str], runs_dir: Path | None, maps: Sequence[str] | None = None, facts: Sequence[str] | None = None
) -> list[RunDirectory]:
    """The runs with these names, of each all that it holds. runs_dir: the flag of the command.

    maps, facts: what --map and --set say about logs of other tools; it is kept for them. Raises RunNotFoundError.
    """
    from tuitrain.runs import find_runs as runs_named
    from tuitrain.runs import runs_directory

    directory = runs_directory(runs_dir)
    runs = [run for name in names for run in runs_named(name, directory)]
    if maps or facts:
        _keep_given(runs, maps or (), facts or ())
    return runs


def find_own(names: Sequence[str], runs_dir: Path | None) -> list[RunDirectory]:
    """The same for a command that changes runs: those of other tools are refused. Raises BadParameter as well."""
    runs = find_runs(names, runs_dir)
    for run in runs:
        if run.source is not None:
            raise typer.BadParameter(f"{run.log} is the log of another tool, which tuitrain only reads.")
    return runs


def given_by(maps: Sequence[str] | None, facts: Sequence[str] | None, before: Mapping[str, Any] | None = None) -> Given:
    """What --map and --set say about a log. before: facts that were supplied earlier, for the check of all together."""
    from tuitrain.readers.mapping import target_named
    from tuitrain.readers.supplied import supplied_of
    from tuitrain.runs.foreign import Given

    given = Given(_pairs("--map", maps or (), "NAME=OURS"), _pairs("--set", facts or (), "KEY=VALUE"))
    try:
        for ours in given.names.values():
            target_named(ours)
        supplied_of({**(before or {}), **given.facts})
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return given


def _keep_given(runs: Sequence[RunDirectory], maps: Sequence[str], facts: Sequence[str]) -> None:
    from tuitrain.runs.foreign import given_for, keep

    others = [run for run in runs if run.source is not None]
    if not others:
        raise typer.BadParameter("these runs are of tuitrain: --map and --set are for logs of other tools.")
    for run in others:
        keep(run, given_by(maps, facts, given_for(run).facts))


def _pairs(option: str, values: Sequence[str], form: str) -> dict[str, str]:
    for value in values:
        if "=" not in value:
            raise typer.BadParameter(f"{value!r} should be {form}.", param_hint=option)
    # A name may hold a `=`; what it is mapped to may not.
    split = (value.rpartition("=") for value in values)
    return {name: ours for name, _, ours in split}


def find_one(name: str, runs_dir: Path | None) -> RunDirectory:
    """The one run with this name. runs_dir: the flag of the command. Raises RunNotFoundError, also for several."""
    from tuitrain.runs import find_run, runs_directory

    return find_run(name, runs_directory(runs_dir))
