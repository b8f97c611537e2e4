"""Runs by their names on the command line. The room `runs` is imported in the functions: `--help` does without."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory
    from tuitrain.runs.foreign import Given


STANDARD_INPUT = "-"
"""As a RUN: the log that comes on standard input, read to its end."""


def find_runs(
    names: Sequence[str], runs_dir: Path | None, maps: Sequence[str] | None = None, facts: Sequence[str] | None = None
) -> list[RunDirectory]:
    """The runs with these names, of each all that it holds. runs_dir: the flag of the command.

    maps, facts: what --map and --set say about logs of other tools; it is kept for them. Raises RunNotFoundError.
    """
    from tuitrain.runs import find_runs as runs_named
    from tuitrain.runs import runs_directory

    directory = runs_directory(runs_dir)
    piped = _runs_of_input() if STANDARD_INPUT in names else []
    runs = [run for name in names for run in (piped if name == STANDARD_INPUT else runs_named(name, directory))]
    if maps or facts:
        _keep_given(runs, maps or (), facts or ())
    return runs


def _runs_of_input() -> list[RunDirectory]:
    """The runs in the log on standard input, kept in a temporary file until this process ends."""
    from tuitrain.runs import RunNotFoundError, stream
    from tuitrain.runs import find_runs as runs_named

    if sys.stdin.isatty():
        raise typer.BadParameter("standard input is a terminal: pipe a log into it.", param_hint=repr(STANDARD_INPUT))
    folder = Path(tempfile.mkdtemp(prefix="tuitrain-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / stream.NAME
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    given = os.fstat(sys.stdin.fileno())
    if stat.S_ISREG(given.st_mode):
        os.utime(path, ns=(given.st_atime_ns, given.st_mtime_ns))
    try:
        runs = runs_named(str(path), folder)
    except RunNotFoundError:
        raise RunNotFoundError(f"{stream.NAME} is not a log in a format that tuitrain reads.") from None
    if len(runs) == 1 and runs[0].source is not None:
        # What --map and --set say of it is kept in the temporary folder, too.
        return [replace(runs[0], path=folder / stream.NAME.replace(" ", "-"))]
    return runs


def find_own(names: Sequence[str], runs_dir: Path | None) -> list[RunDirectory]:
    """The same for a command that changes runs: those of other tools are refused. Raises BadParameter as well."""
    if STANDARD_INPUT in names:
        raise typer.BadParameter("standard input holds no run that can be changed.", param_hint=repr(STANDARD_INPUT))
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
