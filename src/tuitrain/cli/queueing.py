"""What `launch --queue` and sweeps do. Imported when one of them is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuitrain.cli.output import print_json, print_lines, say
from tuitrain.config import RunConfig
from tuitrain.launch import preflight
from tuitrain.launch.halving import FACTOR, FIRST, halvings
from tuitrain.launch.local import Label, Retries
from tuitrain.launch.queue import enqueue_all, enqueue_command, start_runner
from tuitrain.launch.sweep import sample, sweep_configs
from tuitrain.runs import RunDirectory
from tuitrain.runs.foreign import Given, keep


@dataclass(frozen=True)
class Queueing:
    """Where runs are queued, and the options that they share."""

    directory: Path
    label: Label
    gpus: int | None
    force: bool
    retries: Retries
    as_json: bool

    def queue_one(self, config: RunConfig) -> None:
        """Queue one run of the engine."""
        label = self.label
        runs = enqueue_all([config], self.directory, label, gpus=self.gpus, force=self.force, retries=self.retries)
        self._finish(runs)

    def queue_sweep(
        self,
        preset: str,
        runs: list[list[str]],
        name: str | None,
        *,
        count: int | None,
        halving: bool,
        factor: int | None,
        first: float | None,
    ) -> None:
        """Queue a run for each list of overrides, or for `count` of them; their group's name is a tag of each.

        halving: whether the worse ones are stopped early. Raises ConfigError or LaunchError.
        """
        group, configs = sweep_configs(preset, sample(runs, count or len(runs)), name)
        configs = list(map(preflight.with_absolute_paths, configs))
        label = replace(self.label, group=group, tags=[*self.label.tags, group])
        made = enqueue_all(
            configs, self.directory, label, gpus=self.gpus, force=self.force, retries=self.retries,
            halvings=halvings(configs, factor or FACTOR, first or FIRST) if halving else (),
        )  # fmt: skip
        self._finish(made, group)

    def queue_command(self, command: list[str], log: Path | None, grace_s: float | None, given: Given) -> None:
        """Queue the command of another training program."""
        run = enqueue_command(
            command, self.directory, self.label, gpus=self.gpus, log=log, grace_s=grace_s,
            prepare=lambda run: keep(run, given) if given else None,
        )  # fmt: skip
        self._finish([run])

    def _finish(self, runs: Sequence[RunDirectory], group: str | None = None) -> None:
        """Start the runner and print the ids."""
        start_runner(self.directory)
        queued = [{"run_id": run.run_id, "path": str(run.path)} for run in runs]
        if self.as_json:
            print_json({"group": group, "runs": queued} if group else queued[0])
            return
        print_lines(run.run_id for run in runs)
        which = f"group:{group}: {len(runs)} runs are" if group else "It is"
        say(f"{which} in the queue, which `tuitrain queue` lists.")
