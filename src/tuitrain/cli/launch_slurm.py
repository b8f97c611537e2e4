"""`tuitrain launch --slurm`: the runs of the arguments as jobs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuitrain.cli.output import print_json, print_lines, say
from tuitrain.cli.starter import Starter
from tuitrain.config import RunConfig
from tuitrain.events.layout import planned_run_id
from tuitrain.launch import LaunchError
from tuitrain.launch.local import wrapped_command
from tuitrain.launch.slurm.process import SubmittedRun
from tuitrain.launch.slurm.script import JobScript, JobSize
from tuitrain.launch.slurm.settings import slurm_settings
from tuitrain.launch.slurm.submit import (
    Submitted,
    array_directory,
    check_for_slurm,
    job_size,
    submit_command,
    submit_runs,
)
from tuitrain.runs import RunDirectory, command_for, create_run_directory
from tuitrain.runs.foreign import Given, keep


@dataclass(frozen=True)
class SlurmLaunch(Starter):
    """Submits runs. flags: of the settings, by name."""

    nodes: int
    flags: Mapping[str, Any]

    def command(self, command: Sequence[str], log: Path | None, grace_s: float | None, given: Given) -> None:
        """Submit the command of another training program."""
        settings = slurm_settings(self.flags)
        size = JobSize(self.nodes, 1, self.gpus or 0, settings.cpus)
        if self.dry_run:
            run = RunDirectory(self.directory / planned_run_id(self.label.name))
            return self._print(JobScript(self.label.name, run.path, size, settings, Path.cwd(),
                                         wrapped_command(run, command, log, grace_s)))  # fmt: skip
        run = create_run_directory(self.directory, self.label.name)
        try:
            if given:
                keep(run, given)
            wrapped = wrapped_command(run, command, log, grace_s)
            submitted = submit_command(run, wrapped, self.label, size, settings)
        except (LaunchError, OSError):
            shutil.rmtree(run.path, ignore_errors=True)
            raise
        return self._follow(submitted)

    def train(self, configs: Sequence[RunConfig]) -> None:
        """Submit runs of the engine: one as a job, those of a sweep as an array of jobs."""
        settings, group = slurm_settings(self.flags), self.label.group
        size = job_size(configs[0], settings, self.nodes, self.gpus)
        for config in configs:
            check_for_slurm(config, size)
        if self.dry_run and group:
            path = array_directory(self.directory, group)
            return self._print(JobScript(group, path, size, settings, Path.cwd(), runs=len(configs)))
        if self.dry_run:
            name = configs[0].name
            return self._print(JobScript(name, self.directory / planned_run_id(name), size, settings, Path.cwd()))
        submitted = submit_runs(configs, self.directory, self.label, size, settings)
        if not group:
            return self._follow(submitted)
        if self.as_json:
            started = [{"run_id": run.run_id, "path": str(run.path)} for run in submitted.runs]
            return print_json({"group": group, "runs": started, "job_id": submitted.job_id})
        print_lines(run.run_id for run in submitted.runs)
        return say(f"group:{group}: {len(submitted.runs)} runs are job {submitted.job_id} of Slurm, an array.")

    def _print(self, script: JobScript) -> None:
        text = script.text()
        return print_json({"script": text}) if self.as_json else print(text, end="")

    def _follow(self, submitted: Submitted) -> None:
        """Stay with a run as `launch` does with one of this machine."""
        run = submitted.runs[0]
        if self.attachment.detach and self.as_json:
            return print_json({"run_id": run.run_id, "path": str(run.path), "job_id": submitted.job_id})
        if self.attachment.detach:
            print(run.run_id)
        say(f"job {submitted.job_id}: {submitted.script}")
        if self.attachment.detach:
            return say(f"Watch: {command_for('watch', run)} · stop: {command_for('stop', run)}")
        return self.attachment.follow(run, SubmittedRun(run))
