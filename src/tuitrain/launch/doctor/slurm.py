"""The Slurm cluster that this machine submits to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from tuitrain.launch.doctor.finding import Finding
from tuitrain.launch.doctor.programs import first_line


def examine_slurm() -> Iterator[Finding]:
    """What is found of Slurm."""
    if shutil.which("sbatch") is None:
        fix = "run this on a login node of the cluster, or install Slurm's client: sudo apt install slurm-client"
        yield Finding("Slurm", "missing", "there is no sbatch here", fix)
        return
    version = first_line(["sbatch", "--version"])
    if version is None:
        yield Finding("Slurm", "wrong", "sbatch does not start", "`sbatch --version` says why")
        return
    yield Finding("Slurm", "ok", version)
