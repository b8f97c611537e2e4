"""What `launch` does on this machine, now: start a run, try it, or say what it would be."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import typer

from tuitrain.cli.launch_nodes import join
from tuitrain.cli.output import print_json, print_rows, say
from tuitrain.cli.starter import Starter
from tuitrain.config import RunConfig
from tuitrain.events.layout import planned_run_id
from tuitrain.launch import preflight
from tuitrain.launch.local import (
    new_command_run,
    removed_on_error,
    start,
    start_run,
    starting,
    train_command,
    wrapped_command,
)
from tuitrain.launch.machine import find_machine, training_device
from tuitrain.launch.nodes.member import Member
from tuitrain.launch.nodes.start import join_command
from tuitrain.launch.plan import make_plan
from tuitrain.launch.plan_view import plan_json, plan_rows
from tuitrain.launch.smoke import Check, run_smoke
from tuitrain.runs import RunDirectory, load_history
from tuitrain.runs.foreign import Given


@dataclass(frozen=True)
class Here(Starter):
    """Starts runs as processes of this machine. member: which of several nodes it is."""

    smoke: bool
    member: Member | None

    def command(self, command: Sequence[str], log: Path | None, grace_s: float | None, given: Given) -> None:
        """Start the command of another training program in a new run directory, and stay with it."""
        run = new_command_run(self.directory, self.label.name, given)
        with removed_on_error(run), starting(run):
            process = start(run, wrapped_command(run, command, log, grace_s), self.label)
        self.attachment.follow(run, process)

    def train(self, configs: Sequence[RunConfig]) -> None:
        """Start the one run of the engine and stay with it, or do what --dry-run and --smoke say."""
        (config,) = configs
        if self.dry_run:
            return self._print_plan(config)
        if self.smoke:
            return self._try(config)
        if self.member is not None and self.member.rank:
            return join(self.member, self.directory, config, self.attachment, self.gpus, self.force)
        nodes = self.member.nodes if self.member is not None else None
        started = start_run(
            config, self.directory, replace(self.label, name=config.name), gpus=self.gpus, force=self.force,
            retries=self.retries, nodes=nodes,
        )  # fmt: skip
        if started.note:
            say(started.note)
        if self.member is not None:
            say(self.member.next_command)
        return self.attachment.follow(started.run, started.process)

    def _print_plan(self, config: RunConfig) -> None:
        # A plan that does not fit is printed before the command fails.
        nodes = self.member.nodes if self.member is not None else None
        count = nodes.count if nodes is not None else 1
        machine, processes = find_machine(), preflight.check(config, gpus=self.gpus, force=True, nodes=nodes)
        plan = make_plan(config, training_device(config, machine), gpus=processes.count, nodes=count)
        run = RunDirectory(self.directory / planned_run_id(config.name))
        if self.member is not None and self.member.rank:
            command = join_command(run, self.member, processes.count // count)
        else:
            command = train_command(run, processes=processes.count, nodes=nodes)
        if self.as_json:
            print_json(plan_json(plan) | {"command": command})
        else:
            if processes.note:
                say(processes.note)
            print(f"{config.name}: nothing was started.\n")
            print_rows([*plan_rows(plan), ("command", shlex.join(command))])
        if not self.force:
            preflight.check_memory(config, machine, processes.count, count)

    def _try(self, config: RunConfig) -> None:
        processes = preflight.check(config, gpus=self.gpus, force=self.force)
        if processes.note:
            say(processes.note)
        say(f"smoke test of {config.name}: ten steps with evaluation, sample, checkpoint and figure")
        result = run_smoke(config, _draw, self._report, processes=processes.count)
        if self.as_json:
            print_json({"ok": result.ok, "checks": [asdict(check) for check in result.checks],
                        "kept": str(result.kept) if result.kept else None})  # fmt: skip
        if result.kept is not None:
            say(f"The run directory was kept: {result.kept}")
        raise typer.Exit(0 if result.ok else 1)

    def _report(self, check: Check) -> None:
        seconds = f"{check.seconds:6.1f} s" if check.seconds is not None else " " * 8
        line = f"  {'ok' if check.ok else 'FAILED':<6}  {check.name:<24} {seconds}  {check.detail}"
        print(line.rstrip(), flush=True, file=sys.stderr if self.as_json else sys.stdout)


def _draw(run: RunDirectory) -> list[Path]:
    # matplotlib is imported only for --smoke.
    from tuitrain.export.figures import export_plots

    return export_plots([(run, load_history(run))], run.path / "figures", ("png",), 80, None)
