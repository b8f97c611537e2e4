"""Resuming a run of Slurm: its batch script is submitted again."""

from __future__ import annotations

from collections.abc import Sequence

from tuitrain.launch.errors import LaunchError
from tuitrain.launch.resume import config_to_resume, write_config
from tuitrain.launch.slurm.script import SCRIPT
from tuitrain.launch.slurm.submit import resubmit
from tuitrain.runs import RunDirectory
from tuitrain.runs.slurm import LAUNCHER


def is_of_slurm(run: RunDirectory) -> bool:
    """Whether the newest attempt of the run was a job of Slurm."""
    info = run.read_metadata()
    return info is not None and info.launcher == LAUNCHER


def resume_job(run: RunDirectory, overrides: Sequence[str]) -> str:
    """Submit the job of a run that is over again, with overrides of its configuration; returns the id of the job.

    Raises as `resume_run` does.
    """
    script = run.path / SCRIPT
    if not script.exists():
        raise LaunchError(f"{script} is gone, with which the run was submitted.", exit_code=3)
    config, _ = config_to_resume(run, overrides)
    write_config(run, config)
    return resubmit(run)
