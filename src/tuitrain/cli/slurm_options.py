"""The options of jobs of Slurm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Slurm = Annotated[
    bool, typer.Option("--slurm", help="Submit it to Slurm: submit.sh in the run directory is the batch script.")
]
Partition = Annotated[str | None, typer.Option(metavar="NAME", help="With --slurm: the partition.")]
Account = Annotated[str | None, typer.Option(metavar="NAME", help="With --slurm: the account that is charged.")]
Time = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="With --slurm: the time limit of a job, such as 12:00:00. A run that needs more "
                                      "goes on in the next."),
]  # fmt: skip
Sbatch = Annotated[
    list[str] | None,
    typer.Option("--sbatch", metavar="OPTION", help="With --slurm: a further option of sbatch, such as "
                                                    "--sbatch=--mem=0; may be repeated."),
]  # fmt: skip
Template = Annotated[
    Path | None, typer.Option(metavar="FILE", help="With --slurm: a template in place of the batch script.")
]
