"""`tuitrain launch`."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from tuitrain.cli import options, slurm_options
from tuitrain.cli.commands import launch_host
from tuitrain.cli.completion import complete_preset
from tuitrain.cli.lookup import given_by
from tuitrain.cli.output import is_terminal, print_json, print_rows, say

if TYPE_CHECKING:
    from subprocess import Popen

    from tuitrain.cli.queueing import Queueing
    from tuitrain.config import RunConfig
    from tuitrain.launch.local import Label, Retries
    from tuitrain.launch.smoke import Check
    from tuitrain.runs import RunDirectory
    from tuitrain.runs.foreign import Given

COMMAND_KEY = "tuitrain.command"
app = typer.Typer(add_completion=False, rich_markup_mode=None)


class LaunchCommand(TyperCommand):
    """A command whose arguments after `--` are the command line of another training program."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments before `--`, and store the others in the context."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[COMMAND_KEY] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


@app.command(cls=LaunchCommand)
def launch(
    ctx: typer.Context,
    preset: Annotated[
        str | None, typer.Argument(metavar="PRESET|FILE.toml", help=options.PRESET_HELP, autocompletion=complete_preset)
    ] = None,
    overrides: options.Overrides = None,
    name: options.Name = None,
    tag: options.Tags = None,
    note: options.Notes = None,
    detach: options.Detach = False,
    foreground: options.Foreground = False,
    watch: Annotated[bool, typer.Option("--watch", help="Open the dashboard; the default on a terminal.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, the memory fit and the command; start nothing.")
    ] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Run ten steps with evaluation, sample, checkpoint and figure as a test.")
    ] = False,
    gpus: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes, one for each GPU; on the CPU they communicate through gloo. "
                                              "With --nodes: on each node. Default: all GPUs over which the batch "
                                              "divides."),
    ] = None,
    strategy: options.Strategy = None,
    force: options.Force = False,
    queue: Annotated[
        bool, typer.Option("--queue", help="Start it when the GPUs, or CPU slots, that it needs are free.")
    ] = False,
    random: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of a sweep: N of its runs, chosen at random.")
    ] = None,
    halving: options.Halving = False,
    halving_factor: options.HalvingFactor = None,
    first_rung: options.FirstRung = None,
    retries: options.Retries = 0,
    skip_bad_batch: options.SkipBadBatch = False,
    slurm: slurm_options.Slurm = False,
    nodes: slurm_options.Nodes = None,
    partition: slurm_options.Partition = None,
    account: slurm_options.Account = None,
    time: slurm_options.Time = None,
    sbatch: slurm_options.Sbatch = None,
    template: slurm_options.Template = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="With a command: read the file or folder that it logs to, of any format, and "
                                          "not its console. It may be made later."),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(min=0, metavar="S",
                     help="With a command: seconds from SIGTERM, at a stop, to SIGKILL. Default: 60."),
    ] = None,
    maps: options.Map = None,
    facts: options.Set = None,
    host: launch_host.Host = None,
    install: launch_host.Install = False,
    sync: launch_host.Sync = None,
    no_sync: launch_host.NoSync = False,
    tmux: launch_host.Tmux = False,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain launch llama2-tiny
      tuitrain launch gpt2-124m data.source=corpus.txt train.max_steps=2000 --name first
      tuitrain launch my-run.toml --detach
      tuitrain launch qwen3-0.6b --dry-run
      tuitrain launch llama2-tiny --smoke
      tuitrain launch llama2-1.3b --gpus 8 --strategy fsdp
      tuitrain launch llama2-tiny optim.lr=1e-3,3e-3 train.seed=1,2,3 --name grid
      tuitrain launch llama2-tiny optim.lr=3e-4,1e-3,3e-3,1e-2 --halving
      tuitrain launch llama2-1.3b --slurm --nodes 2 --gpus 8 --time 12:00:00
      tuitrain launch --name mine -- python train.py --lr 3e-4
      tuitrain launch --log lightning_logs -- torchrun --nproc-per-node 2 train.py
      tuitrain launch --queue --gpus 2 -- torchrun --nproc-per-node 2 train.py
      tuitrain launch --host me@node1 qwen3-0.6b

    Start a training run. It continues when the terminal closes.

    KEY=A,B,C makes a group of runs, one for each combination of such values, and queues them; lists need brackets, as
    in optim.betas=[0.9,0.95],[0.9,0.99]. `group:NAME` stands for its runs in other commands.

    On a terminal the dashboard opens. Elsewhere the console output of the run is printed, and the exit code is that
    of the run. With --slurm a run is a job, which goes on after its time limit and preemption, and a sweep an array.

    After `--` give the command of another training program: the metrics that it prints are its curves, or those it
    writes to --log, or those it logs with `tuitrain.init`. `stop` sends it SIGTERM.
    """
    from tuitrain.cli.attach import Attachment
    from tuitrain.config import load_config
    from tuitrain.launch import LaunchError, preflight
    from tuitrain.launch.local import Label, Retries, start_run
    from tuitrain.launch.sweep import grid
    from tuitrain.runs import runs_directory

    of_slurm = {"partition": partition, "account": account, "time": time, "sbatch": sbatch, "template": template}
    if not slurm and (flags := _given({f"--{key}": value for key, value in (of_slurm | {"nodes": nodes}).items()})):
        raise typer.BadParameter(f"{' and '.join(flags)}: only with --slurm.")
    if slurm and (flags := _given({"--smoke": smoke, "--queue": queue, "--retries": retries or None})):
        raise typer.BadParameter(f"{' and '.join(flags)}: not with --slurm.")
    modes = _given({"--detach": detach, "--foreground": foreground, "--watch": watch, "--dry-run": dry_run,
                    "--smoke": smoke, "--queue": queue})  # fmt: skip
    if len(modes) > 1:
        raise typer.BadParameter(f"{' and '.join(modes)} exclude each other.")
    if watch and not is_terminal():
        raise LaunchError("--watch needs a terminal; without one `launch` prints the console output of the run.")
    if skip_bad_batch and not retries:
        raise typer.BadParameter("--skip-bad-batch needs --retries.")
    if not halving and (flags := _given({"--halving-factor": halving_factor, "--first-rung": first_rung})):
        raise typer.BadParameter(f"{' and '.join(flags)}: only with --halving.")
    if host is not None:
        return launch_host.launch_on_host(ctx, ctx.meta.get(COMMAND_KEY))
    launch_host.refuse_without_host(install, sync, no_sync, tmux)
    # Settings with errors are reported before anything starts.
    attachment = Attachment(detach=detach or dry_run or smoke, foreground=foreground, as_json=as_json)
    directory, command = runs_directory(runs_dir), ctx.meta.get(COMMAND_KEY)
    label, restarts = Label(name or "", tag or [], note or []), Retries(retries, skip_bad_batch)
    submission = None
    if slurm:
        from tuitrain.cli.commands.launch_slurm import SlurmLaunch

        submission = SlurmLaunch(directory, label, nodes or 1, gpus, of_slurm, dry_run, detach, as_json)
    if command is not None:
        if preset is not None and command:
            raise LaunchError(f"Give a preset or a command, not both: {preset!r} and {command[0]!r}.")
        if gpus is not None and not queue and not slurm:
            raise LaunchError("--gpus: only with --queue for a command, which starts when so many are free.")
        if flags := _given({"--dry-run": dry_run and not slurm, "--smoke": smoke, "--strategy": strategy,
                            "--retries": retries or None, "--random": random, "--halving": halving}):  # fmt: skip
            raise LaunchError(f"{' and '.join(flags)}: only for the engine's own configurations, not for a command.")
        _check_command(command)
        label, given = replace(label, name=name or _program_name(command)), given_by(maps, facts)
        if queue:
            return _queueing(directory, label, gpus, force, restarts, as_json).queue_command(command, log, grace, given)
        if submission is not None:
            return replace(submission, label=label).command(command, log, grace, given, attachment)
        return attachment.follow(*_start_external(command, directory, label, log, grace, given))
    if flags := _given({"--log": log, "--grace": grace, "--map": maps, "--set": facts}):
        raise LaunchError(f"{' and '.join(flags)}: only for a command after `--`.")
    if preset is None:
        raise typer.BadParameter("give a preset, a configuration file, or a command after `--`.", ctx=ctx)
    overrides = options.with_strategy(overrides, strategy)
    if len(runs := grid(overrides)) > 1:
        if flags := _given({"--detach": detach, "--foreground": foreground, "--watch": watch,
                            "--dry-run": dry_run and not slurm, "--smoke": smoke}):  # fmt: skip
            raise typer.BadParameter(f"{' and '.join(flags)}: not for a sweep, whose runs are queued.")
        if submission is not None:
            if halving:
                raise typer.BadParameter("--halving: not with --slurm, which starts the runs of a sweep as it can.")
            return submission.sweep(preset, runs, name, random)
        return _queueing(directory, label, gpus, force, restarts, as_json).queue_sweep(
            preset, runs, name, count=random, halving=halving, factor=halving_factor, first=first_rung
        )
    if flags := _given({"--random": random, "--halving": halving}):
        raise typer.BadParameter(f"{flags[0]} needs a sweep: several values of a key, as in optim.lr=1e-4,3e-4.")
    overrides += [f"name={name}"] if name else []
    config = preflight.with_absolute_paths(load_config(preset, overrides))
    if submission is not None:
        return submission.run(config, attachment)
    if dry_run:
        return _dry_run(config, gpus, directory, as_json, force)
    if smoke:
        return _smoke(config, gpus, as_json, force)
    if queue:
        return _queueing(directory, label, gpus, force, restarts, as_json).queue_one(config)
    label = replace(label, name=config.name)
    started = start_run(config, directory, label, gpus=gpus, force=force, retries=restarts)
    if started.note:
        say(started.note)
    return attachment.follow(started.run, started.process)


def _queueing(
    directory: Path, label: Label, gpus: int | None, force: bool, retries: Retries, as_json: bool
) -> Queueing:
    from tuitrain.cli.queueing import Queueing

    return Queueing(directory.absolute(), label, gpus, force, retries, as_json)


def _program_name(command: list[str]) -> str:
    """The name of the script that a command runs, else that of the program."""
    script = next((word for word in command if word.endswith(".py")), command[0] if command else "")
    return Path(script).stem


def _check_command(command: list[str]) -> None:
    """Raise LaunchError where there is no command, or no such program."""
    from tuitrain.launch import LaunchError

    if not command:
        raise LaunchError("There is no command after `--`.")
    if shutil.which(command[0]) is None:
        raise LaunchError(f"{command[0]}: no such command.", exit_code=3)


def _given(flags: dict[str, Any]) -> list[str]:
    return [flag for flag, value in flags.items() if value is not None and value is not False and value != []]


def _start_external(
    command: list[str], directory: Path, label: Label, log: Path | None, grace_s: float | None, given: Given
) -> tuple[RunDirectory, Popen[bytes]]:
    """Start the command of another training program in a new run directory."""
    from tuitrain.launch.local import start, starting, wrapped_command
    from tuitrain.runs import create_run_directory
    from tuitrain.runs.foreign import keep

    run = create_run_directory(directory.absolute(), label.name)
    if given:
        keep(run, given)
    with starting(run):
        return run, start(run, wrapped_command(run, command, log, grace_s), label)


def _dry_run(config: RunConfig, gpus: int | None, directory: Path, as_json: bool, force: bool) -> None:
    from tuitrain.launch import preflight
    from tuitrain.launch.local import train_command
    from tuitrain.launch.machine import find_machine, training_device
    from tuitrain.launch.plan import make_plan
    from tuitrain.launch.plan_view import plan_json, plan_rows
    from tuitrain.runs import RunDirectory

    # A plan that does not fit is printed before the command fails.
    machine, processes = find_machine(), preflight.check(config, gpus=gpus, force=True)
    plan = make_plan(config, training_device(config, machine), gpus=processes.count)
    run = RunDirectory(directory.absolute() / f"{config.name}-YYYYMMDD-HHMMSS-XXXX")
    command = train_command(run, processes=processes.count)
    if as_json:
        print_json(plan_json(plan) | {"command": command})
    else:
        if processes.note:
            say(processes.note)
        print(f"{config.name}: nothing was started.\n")
        print_rows([*plan_rows(plan), ("command", shlex.join(command))])
    if not force:
        preflight.check_memory(config, machine, processes.count)


def _smoke(config: RunConfig, gpus: int | None, as_json: bool, force: bool) -> None:
    from tuitrain.launch import preflight
    from tuitrain.launch.smoke import run_smoke

    processes = preflight.check(config, gpus=gpus, force=force)
    if processes.note:
        say(processes.note)

    def report(check: Check) -> None:
        seconds = f"{check.seconds:6.1f} s" if check.seconds is not None else " " * 8
        line = f"  {'ok' if check.ok else 'FAILED':<6}  {check.name:<24} {seconds}  {check.detail}"
        print(line.rstrip(), flush=True, file=sys.stderr if as_json else sys.stdout)

    say(f"smoke test of {config.name}: ten steps with evaluation, sample, checkpoint and figure")
    result = run_smoke(config, _draw, report, processes=processes.count)
    if as_json:
        print_json({"ok": result.ok, "checks": [asdict(check) for check in result.checks],
                    "kept": str(result.kept) if result.kept else None})  # fmt: skip
    if result.kept is not None:
        say(f"The run directory was kept: {result.kept}")
    raise typer.Exit(0 if result.ok else 1)


def _draw(run: RunDirectory) -> list[Path]:
    from tuitrain.export.figures import export_plots
    from tuitrain.runs import load_history

    return export_plots([(run, load_history(run))], run.path / "figures", ("png",), 80, None)
