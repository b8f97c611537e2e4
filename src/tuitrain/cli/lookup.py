"""Runs by their names on the command line. The room `runs` is imported in the functions: `--help` does without."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from tuitrain.cli.patience import read_patiently

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory
    from tuitrain.runs.foreign import Given


STANDARD_INPUT = "-"
"""As a RUN: the log that comes on standard input, read to its end."""


Part = Literal["WHOLE", "ENDS", "LIST", "REQUEST", "FOLLOWED", "CONSOLE", "DASHBOARD"]
"""How much of a run on another machine is read, by the names in `runs.remote`."""

_REMOTE: dict[str, list[RunDirectory]] = {}
"""What this process has opened."""

_KEEPERS: list[subprocess.Popen[bytes]] = []
"""What removes the temporary folders, held open until this process ends."""


def find_runs(
    names: Sequence[str],
    runs_dir: Path | None,
    maps: Sequence[str] | None = None,
    facts: Sequence[str] | None = None,
    part: Part = "WHOLE",
) -> list[RunDirectory]:
    """The runs with these names, of each all that it holds. runs_dir: the flag of the command.

    maps, facts: what --map and --set say about logs of other tools; it is kept for them. Raises RunNotFoundError.
    """
    from tuitrain.runs import find_runs as runs_named
    from tuitrain.runs import runs_directory

    directory = runs_directory(runs_dir)
    named = {STANDARD_INPUT: _runs_of_input()} if STANDARD_INPUT in names else {}
    # Only these have a colon before any slash.
    if any(":" in name.partition("/")[0] for name in names):
        named |= _remote_runs(names, part)
    here = {name for name in names if name not in named}
    if here:
        named |= read_patiently(
            ", ".join(sorted(here)), lambda: {name: runs_named(name, directory) for name in names if name in here}
        )
    runs = [run for name in names for run in named[name]]
    if maps or facts:
        _keep_given(runs, maps or (), facts or ())
    return runs


def _remote_runs(names: Sequence[str], part: Part) -> dict[str, list[RunDirectory]]:
    """The runs with those of the names that are addresses. Raises BadParameter, RemoteError and RunNotFoundError."""
    from tuitrain.remote.address import AddressError
    from tuitrain.runs import remote

    addresses = list(dict.fromkeys(name for name in names if remote.is_remote(name)))
    new = [name for name in addresses if name not in _REMOTE]
    try:
        runs = remote.find_remote_runs(new, getattr(remote, part), ask=sys.stdin.isatty())
    except AddressError as error:
        raise typer.BadParameter(str(error), param_hint="RUN") from None
    _REMOTE.update(zip(new, runs, strict=True))
    return {name: _REMOTE[name] for name in addresses}


def _runs_of_input() -> list[RunDirectory]:
    """The runs in the log on standard input, kept in a temporary file until this process ends."""
    from tuitrain.runs import RunNotFoundError, stream
    from tuitrain.runs import find_runs as runs_named

    if sys.stdin.isatty():
        raise typer.BadParameter("standard input is a terminal: pipe a log into it.", param_hint=repr(STANDARD_INPUT))
    folder = _folder_of_this_process()
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


def _folder_of_this_process() -> Path:
    """A temporary folder that is removed when this process ends, also by SIGKILL."""
    folder = tempfile.mkdtemp(prefix="tuitrain-")
    # A shell of its own session, whose input ends with this process.
    command = ["sh", "-c", 'read -r end; exec rm -rf -- "$1"', "sh", folder]
    nothing = subprocess.DEVNULL
    _KEEPERS.append(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing, start_new_session=True)
    )
    return Path(folder)


def find_own(names: Sequence[str], runs_dir: Path | None, *, requests: bool = False) -> list[RunDirectory]:
    """The same for a command that changes runs: those of other tools are refused. Raises BadParameter as well.

    requests: whether it only sends requests, which runs on other machines get too.
    """
    if STANDARD_INPUT in names:
        raise typer.BadParameter("standard input holds no run that can be changed.", param_hint=repr(STANDARD_INPUT))
    if not requests:
        refuse_remote(names)
    runs = find_runs(names, runs_dir, part="REQUEST")
    for run in runs:
        if run.source is not None:
            raise typer.BadParameter(f"{run.log} is the log of another tool, which tuitrain only reads.")
    return runs


def find_own_one(name: str, runs_dir: Path | None, *, requests: bool = False) -> RunDirectory:
    """The one run with this name, for a command that changes it. Raises as `find_own`, and for several runs too."""
    from tuitrain.runs import one_of

    return one_of(name, find_own([name], runs_dir, requests=requests))


def refuse_remote(names: Sequence[str]) -> None:
    """Raise BadParameter for a run on another machine, for commands that work on the files of a run."""
    from tuitrain.runs.remote import is_remote

    for name in names:
        if ":" in name and is_remote(name):
            raise typer.BadParameter(f"{name} is on another machine: run this command there.", param_hint="RUN")


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


def find_compared(names: Sequence[str], baseline: str | None, runs_dir: Path | None) -> tuple[list[RunDirectory], int]:
    """The runs with these names, and which of them is the baseline: the first, or the one that is added for it.

    baseline: its name, where the user gave one. Raises RunNotFoundError.
    """
    runs = find_runs(names, runs_dir)
    reference = runs[0] if baseline is None else find_one(baseline, runs_dir)
    paths = [run.path for run in runs]
    return (runs, paths.index(reference.path)) if reference.path in paths else ([reference, *runs], 0)


def find_one(name: str, runs_dir: Path | None, part: Part = "WHOLE") -> RunDirectory:
    """The one run with this name. runs_dir: the flag of the command. Raises RunNotFoundError, also for several."""
    from tuitrain.runs import one_of

    return one_of(name, find_runs([name], runs_dir, part=part))
