"""What `launch --queue` and sweeps do. Imported when one of them is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuitrain.cli.output import print_json, print_lines, say
from tuitrain.cli.starter import Starter
from tuitrain.config import RunConfig
from tuitrain.launch.halving import FACTOR, FIRST, halvings
from tuitrain.launch.queue import enqueue_all, enqueue_command, start_runner
from tuitrain.runs import RunDirectory
from tuitrain.runs.foreign import Given
from tuitrain.runs.queue_order import read_queue


@dataclass(frozen=True)
class Queueing(Starter):
    """Puts runs into the queue. halving: whether the worse ones of a sweep are stopped early."""

    halving: bool
    factor: int | None
    first_rung: float | None

    def command(self, command: Sequence[str], log: Path | None, grace_s: float | None, given: Given) -> None:
        """Queue the command of another training program."""
        run = enqueue_command(
            command, self.directory, self.label, gpus=self.gpus, log=log, grace_s=grace_s, given=given
        )  # fmt: skip
        self._finish([run])

    def train(self, configs: Sequence[RunConfig]) -> None:
        """Queue a run of the engine for each configuration. Raises ConfigError or LaunchError."""
        made = enqueue_all(
            configs, self.directory, self.label, gpus=self.gpus, force=self.force, retries=self.retries,
            halvings=halvings(configs, self.factor or FACTOR, self.first_rung or FIRST) if self.halving else (),
        )  # fmt: skip
        self._finish(made)

    def _finish(self, runs: Sequence[RunDirectory]) -> None:
        """Start the runner and print the ids."""
        for each in read_queue(self.directory)[1]:
            say(str(each))
        start_runner(self.directory)
        group, queued = self.label.group, [{"run_id": run.run_id, "path": str(run.path)} for run in runs]
        if self.as_json:
            print_json({"group": group, "runs": queued} if group else queued[0])
            return
        print_lines(run.run_id for run in runs)
        which = f"group:{group}: {len(runs)} runs are" if group else "It is"
        say(f"{which} in the queue, which `tuitrain queue` lists.")
