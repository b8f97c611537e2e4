"""`tuitrain launch --slurm`: the runs of the arguments as jobs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuitrain.cli.attach import Attachment
from tuitrain.cli.output import print_json, print_lines, say
from tuitrain.config import RunConfig
from tuitrain.launch import LaunchError, preflight
from tuitrain.launch.local import Label, wrapped_command
from tuitrain.launch.slurm.process import SubmittedRun
from tuitrain.launch.slurm.script import JobScript, JobSize
from tuitrain.launch.slurm.settings import SlurmSettings, slurm_settings
from tuitrain.launch.slurm.submit import Submitted, check_for_slurm, job_size, submit_command, submit_runs
from tuitrain.launch.sweep import sample, sweep_configs
from tuitrain.runs import RunDirectory, command_for, create_run_directory
from tuitrain.runs.foreign import Given, keep


@dataclass(frozen=True)
class SlurmLaunch:
    """How runs are submitted. gpus: on each node; flags: of the settings, by name; dry_run: only print the script."""

    directory: Path
    label: Label
    nodes: int
    gpus: int | None
    flags: Mapping[str, Any]
    dry_run: bool
    detach: bool
    as_json: bool

    def command(
        self, command: Sequence[str], log: Path | None, grace_s: float | None, given: Given, attachment: Attachment
    ) -> None:
        """Submit the command of another training program."""
        settings = slurm_settings(self.flags)
        size = JobSize(self.nodes, 1, self.gpus or 0, settings.cpus)
        if self.dry_run:
            run = self._unmade(self.label.name)
            return self._print(JobScript(self.label.name, run.path, size, settings, Path.cwd(),
                                         wrapped_command(run, command, log, grace_s)))  # fmt: skip
        run = create_run_directory(self.directory.absolute(), self.label.name)
        try:
            if given:
                keep(run, given)
            wrapped = wrapped_command(run, command, log, grace_s)
            submitted = submit_command(run, wrapped, self.label, size, settings)
        except (LaunchError, OSError):
            shutil.rmtree(run.path, ignore_errors=True)
            raise
        return self._follow(submitted, attachment)

    def run(self, config: RunConfig, attachment: Attachment) -> None:
        """Submit one run."""
        size, settings = self._checked([config])
        if self.dry_run:
            run = self._unmade(config.name)
            return self._print(JobScript(config.name, run.path, size, settings, Path.cwd()))
        submitted = submit_runs([config], self.directory.absolute(), self.label, size, settings)
        return self._follow(submitted, attachment)

    def sweep(self, preset: str, runs: list[list[str]], name: str | None, count: int | None) -> None:
        """Submit a group of runs as an array of jobs; count: so many of them, chosen at random."""
        group, configs = sweep_configs(preset, sample(runs, count or len(runs)), name)
        configs = list(map(preflight.with_absolute_paths, configs))
        size, settings = self._checked(configs)
        if self.dry_run:
            path = self.directory.absolute() / ".slurm" / group
            return self._print(JobScript(group, path, size, settings, Path.cwd(), runs=len(configs)))
        label = replace(self.label, group=group, tags=[*self.label.tags, group])
        submitted = submit_runs(configs, self.directory.absolute(), label, size, settings)
        if self.as_json:
            started = [{"run_id": run.run_id, "path": str(run.path)} for run in submitted.runs]
            return print_json({"group": group, "runs": started, "job_id": submitted.job_id})
        print_lines(run.run_id for run in submitted.runs)
        return say(f"group:{group}: {len(submitted.runs)} runs are job {submitted.job_id} of Slurm, an array.")

    def _checked(self, configs: Sequence[RunConfig]) -> tuple[JobSize, SlurmSettings]:
        settings = slurm_settings(self.flags)
        size = job_size(configs[0], settings, self.nodes, self.gpus)
        for config in configs:
            check_for_slurm(config, size)
        return size, settings

    def _unmade(self, name: str) -> RunDirectory:
        return RunDirectory(self.directory.absolute() / f"{name}-YYYYMMDD-HHMMSS-XXXX")

    def _print(self, script: JobScript) -> None:
        text = script.text()
        return print_json({"script": text}) if self.as_json else print(text, end="")

    def _follow(self, submitted: Submitted, attachment: Attachment) -> None:
        """Stay with a run as `launch` does with one of this machine."""
        run = submitted.runs[0]
        if self.detach and self.as_json:
            return print_json({"run_id": run.run_id, "path": str(run.path), "job_id": submitted.job_id})
        if self.detach:
            print(run.run_id)
        say(f"job {submitted.job_id}: {submitted.script}")
        if self.detach:
            return say(f"Watch: {command_for('watch', run)} · stop: {command_for('stop', run)}")
        return attachment.follow(run, SubmittedRun(run))
