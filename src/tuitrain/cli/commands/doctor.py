"""`tuitrain doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.output import has_colour, print_json, styled
from tuitrain.text import clean, print_coloured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tuitrain.launch.doctor.finding import Finding

_STYLES = {"ok": "green", "warning": "yellow", "missing": "yellow", "wrong": "red"}
_NAME_WIDTH = 14


def doctor(
    host: Annotated[
        str | None, typer.Option(metavar="USER@HOST", help="Check another machine, through ssh, in place of this one.")
    ] = None,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Check the Slurm cluster that this machine submits to.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Of this machine: without what is measured, by torch and on the disk.")
    ] = False,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain doctor
      tuitrain doctor --host me@gpu-1
      tuitrain doctor --slurm
      tuitrain doctor --json

    Check what this machine has for training, what is missing or wrong, and how to correct it: packages, GPUs, what
    torch can do with them, the disk of the runs, the terminal. Measuring takes some seconds, and a first compilation
    by torch longer. Exit code 1 when something is wrong that prevents training.
    """
    found = []
    for finding in _findings(host, slurm, runs_dir, quick=quick):
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([asdict(finding) for finding in found])
    if any(finding.state == "wrong" for finding in found):
        raise typer.Exit(1)


def _findings(host: str | None, slurm: bool, runs_dir: Path | None, *, quick: bool) -> Iterator[Finding]:
    """The findings on what the options name. Imports only what that takes."""
    if host is not None and slurm:
        raise typer.BadParameter("--host and --slurm exclude each other.")
    if host is not None:
        from tuitrain.launch.doctor.host import examine_host

        yield from examine_host(host)
    elif slurm:
        from tuitrain.launch.doctor.slurm import examine_slurm

        yield from examine_slurm()
    else:
        from tuitrain.launch.doctor.machine import examine_machine
        from tuitrain.runs import runs_directory

        yield from examine_machine(runs_directory(runs_dir), quick=quick)


def _print(finding: Finding) -> None:
    """Print a finding as soon as it is there: some take seconds."""
    state = styled(f"{finding.state:<8}", _STYLES[finding.state], has_colour())
    print_coloured(f"  {state}{clean(f'{finding.name:<{_NAME_WIDTH}}  {finding.detail}')}")
    if finding.fix:
        print(clean(f"{'':<{_NAME_WIDTH + 12}}{finding.fix}"), flush=True)
