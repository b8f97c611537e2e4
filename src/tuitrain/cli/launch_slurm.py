"""`tuitrain launch --slurm`: the runs of the arguments as jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuitrain.cli.output import print_json, print_lines, say
from tuitrain.cli.starter import Starter
from tuitrain.config import RunConfig
from tuitrain.events.layout import planned_run_id
from tuitrain.launch.local import new_command_run, removed_on_error, wrapped_command
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
from tuitrain.runs import RunDirectory
from tuitrain.runs.foreign import Given


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
        run = new_command_run(self.directory, self.label.name, given)
        with removed_on_error(run):
            wrapped = wrapped_command(run, command, log, grace_s)
            submitted = submit_command(run, wrapped, self.label, size, settings)
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
        sentence = f"job {submitted.job_id}: {submitted.script}"
        self.attachment.follow_job(submitted.runs[0], submitted.job_id, sentence)
