"""`tuitrain launch`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from tuitrain.cli import nodes_options, options, slurm_options
from tuitrain.cli.commands import launch_host
from tuitrain.cli.completion import complete_preset
from tuitrain.cli.launch_rules import RULES
from tuitrain.cli.lookup import given_by
from tuitrain.cli.output import is_terminal
from tuitrain.cli.rules import refuse

if TYPE_CHECKING:
    from tuitrain.cli.launch_here import Here
    from tuitrain.cli.launch_queue import Queueing
    from tuitrain.cli.launch_slurm import SlurmLaunch

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
    nodes: nodes_options.Nodes = None,
    node_rank: nodes_options.NodeRank = None,
    rendezvous: nodes_options.Rendezvous = None,
    min_nodes: nodes_options.MinNodes = None,
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
      tuitrain launch llama2-1.3b --nodes 2 --node-rank 0 --rendezvous node0:29500
      tuitrain launch --name mine -- python train.py --lr 3e-4
      tuitrain launch --log lightning_logs -- torchrun --nproc-per-node 2 train.py
      tuitrain launch --queue --gpus 2 -- torchrun --nproc-per-node 2 train.py
      tuitrain launch --host me@node1 qwen3-0.6b

    Start a training run. It continues when the terminal closes.

    KEY=A,B,C makes a group of runs, one for each combination of such values, and queues them; lists need brackets, as
    in optim.betas=[0.9,0.95],[0.9,0.99]. `group:NAME` stands for its runs in other commands.

    On a terminal the dashboard opens. Elsewhere the console output of the run is printed, and the exit code is that
    of the run. With --slurm a run is a job, which goes on after its time limit and preemption, and a sweep an array.
    With --node-rank this machine is one of several that train together; give the same command on each, but for that.

    After `--` give the command of another training program: the metrics that it prints are its curves, or those it
    writes to --log, or those it logs with `tuitrain.init`. `stop` sends it SIGTERM.
    """
    from tuitrain.cli.attach import Attachment
    from tuitrain.config import RunConfig, load_config
    from tuitrain.launch import preflight
    from tuitrain.launch.local import Label, Retries
    from tuitrain.launch.sweep import grid, sample, sweep_configs
    from tuitrain.runs import runs_directory

    command, runs = ctx.meta.get(COMMAND_KEY), grid(options.with_strategy(overrides, strategy))
    kind = "command" if command is not None else "sweep" if len(runs) > 1 else "run"
    refuse(ctx, RULES, {kind, "terminal" if is_terminal() else ""})
    if preset is None and command is None:
        raise typer.BadParameter("give a preset, a configuration file, or a command after `--`.", ctx=ctx)
    if host is not None:
        return launch_host.launch_on_host(ctx, command)
    # Settings with errors are reported before anything starts.
    attachment = Attachment(detach=detach or dry_run or smoke, foreground=foreground, as_json=as_json)
    label, configs = Label(name or "", tag or [], note or []), list[RunConfig]()
    if command is not None:
        _check_command(command, preset)
        label = replace(label, name=name or _program_name(command))
    elif kind == "sweep":
        group, configs = sweep_configs(preset or "", sample(runs, random or len(runs)), name)
        label = replace(label, group=group, tags=[*label.tags, group])
    else:
        configs = [load_config(preset or "", [*runs[0], *([f"name={name}"] if name else [])])]
    shared: dict[str, Any] = {
        "directory": runs_directory(runs_dir).absolute(), "label": label, "attachment": attachment, "gpus": gpus,
        "force": force, "retries": Retries(retries, skip_bad_batch), "dry_run": dry_run, "as_json": as_json,
    }  # fmt: skip
    starter: Here | Queueing | SlurmLaunch
    # Each of them is imported only where it is needed.
    if slurm:
        from tuitrain.cli.launch_slurm import SlurmLaunch

        flags = {"partition": partition, "account": account, "time": time, "sbatch": sbatch, "template": template}
        starter = SlurmLaunch(**shared, nodes=nodes or 1, flags=flags)
    elif queue or kind == "sweep":
        from tuitrain.cli.launch_queue import Queueing

        starter = Queueing(**shared, halving=halving, factor=halving_factor, first_rung=first_rung)
    else:
        from tuitrain.cli.launch_here import Here

        starter = Here(**shared, smoke=smoke, member=nodes_options.member_of(nodes, node_rank, rendezvous, min_nodes))
    if command is not None:
        return starter.command(command, log, grace, given_by(maps, facts))
    return starter.train(list(map(preflight.with_absolute_paths, configs)))


def _program_name(command: list[str]) -> str:
    """The name of the script that a command runs, else that of the program."""
    script = next((word for word in command if word.endswith(".py")), command[0])
    return Path(script).stem


def _check_command(command: list[str], preset: str | None) -> None:
    """Raise LaunchError where there is no command, no such program, or a preset as well."""
    from tuitrain.launch import LaunchError

    if not command:
        raise LaunchError("There is no command after `--`.")
    if preset is not None:
        raise LaunchError(f"Give a preset or a command, not both: {preset!r} and {command[0]!r}.")
    if shutil.which(command[0]) is None:
        raise LaunchError(f"{command[0]}: no such command.", exit_code=3)
