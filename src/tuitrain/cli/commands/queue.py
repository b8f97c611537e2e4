"""`tuitrain queue`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from tuitrain.cli import options
from tuitrain.cli.lookup import find_own, find_own_one
from tuitrain.cli.output import Column, print_json, print_table, say
from tuitrain.cli.rules import Rule, refuse

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory


class QueueGroup(TyperGroup):
    """A group of commands of which `queue HOST:` is `queue --host HOST:`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, an address at their beginning as the host."""
        if args and ":" in args[0] and not args[0].startswith("-"):
            args = [f"--host={args[0]}", *args[1:]]
        return super().parse_args(ctx, args)


app = typer.Typer(add_completion=False, rich_markup_mode=None, cls=QueueGroup)


@app.callback(invoke_without_command=True)
def queue(
    ctx: typer.Context,
    host: Annotated[
        str | None,
        typer.Option(metavar="[USER@]HOST[:DIR]", help="The queue of this machine, which ssh reaches; so does HOST:."),
    ] = None,
    systemd: Annotated[
        bool, typer.Option("--systemd", help="Print a unit, and a line for cron, that go on with the queue at boot.")
    ] = False,
    as_json: options.Json = False,
    runs_dir: options.ExistingRunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain launch gpt2-tiny --queue
      tuitrain launch --queue --gpus 2 -- torchrun --nproc-per-node 2 train.py
      tuitrain queue
      tuitrain queue move RUN 1
      tuitrain queue rm RUN
      tuitrain queue --host node1
      tuitrain queue --systemd

    List the runs that `launch --queue` lets wait, the next one first.

    They are started in this order, each when the GPUs it needs are free, or on the CPU the slots (`queue_slots` of the
    settings, by default 1). After a restart of the machine any command that uses the queue goes on with it, and where
    nobody logs in the unit of --systemd.
    """
    refuse(ctx, (Rule("--host --systemd", "{} exclude each other: run it on that machine.", most=1),))
    if ctx.invoked_subcommand is not None:
        _refuse_before(ctx, ctx.invoked_subcommand)
    elif host is not None:
        _print(_queue_of_host(host), as_json)
    elif systemd:
        from tuitrain.launch.systemd import queue_unit
        from tuitrain.runs import runs_directory

        print(queue_unit(runs_directory(runs_dir).absolute()), end="")
    else:
        show_queue(runs_dir, as_json)


def _refuse_before(ctx: typer.Context, command: str) -> None:
    """Raise BadParameter for options before `move` or `rm`, which would act on another queue than is meant."""
    from tuitrain.cli.remote_commands import forwarded

    if words := forwarded(ctx, ()):
        raise typer.BadParameter(
            f"{words[0]} stands before {command}: options come after it, and a run of another machine is HOST:PATH, as "
            f"in `tuitrain queue {command} node1:runs/RUN`."
        )


@app.command("move", short_help="Move a run to another position.")
def move(
    run: options.Run,
    position: Annotated[int, typer.Argument(min=1, help="Its new position; the first is 1.")],
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain queue move latest 1
      tuitrain queue move node1:runs/RUN 1

    Move a run to another position in the queue.
    """
    from tuitrain.cli.remote_commands import run_command
    from tuitrain.launch.queue import move as move_to

    found = find_own_one(run, runs_dir, requests=True)
    if found.remote:
        return _print(run_command(found, "queue move", [str(position)], say=say)[1], as_json)
    move_to(found, position)
    return show_queue(runs_dir, as_json)


@app.command("rm", short_help="Take runs out of the queue.")
def rm(runs: options.Runs, as_json: options.Json = False, runs_dir: options.RunsDir = None) -> None:
    """\b
    Examples:
      tuitrain queue rm latest
      tuitrain queue rm node1:runs/RUN

    Take runs out of the queue; their directories stay, and `tuitrain rm` removes them.
    """
    from tuitrain.launch import LaunchError
    from tuitrain.launch.queue import leave_queue

    found = find_own(runs, runs_dir, requests=True)
    there = [run for run in found if run.remote]
    if there and len(there) < len(found):
        raise typer.BadParameter("the runs are in queues of several machines: take them out one after the other.")
    if there:
        return _print(_taken_out_there(there), as_json)
    others = [run for run in found if not leave_queue(run, "taken out of the queue")]
    if len(others) == len(found):
        which = "is" if len(others) == 1 else "are"
        raise LaunchError(f"{', '.join(run.run_id for run in others)} {which} not in the queue.", exit_code=3)
    for run in others:
        say(f"{run.run_id} is not in the queue.")
    return show_queue(runs_dir, as_json)


def _taken_out_there(runs: list[RunDirectory]) -> Any:
    """Take runs out of the queue of another machine, and name those that are not in it; returns the queue.

    Raises LaunchError where none is.
    """
    from tuitrain.cli.remote_commands import run_command
    from tuitrain.launch import LaunchError

    rows, refusals = None, []
    for run in runs:
        try:
            rows = run_command(run, "queue rm", [], say=say)[1]
        except LaunchError as error:
            if error.exit_code != 3:
                raise
            refusals.append(error)
    if rows is None:
        raise refusals[-1]
    for refusal in refusals:
        say(str(refusal))
    return rows


def show_queue(flag: Path | None, as_json: bool) -> None:
    """Print the queue, and start its runner where there is none."""
    from tuitrain.launch.queue import start_runner
    from tuitrain.runs import runs_directory
    from tuitrain.runs.queue_order import read_queue

    directory = runs_directory(flag)
    waiting, unreadable = read_queue(directory)
    for each in unreadable:
        say(str(each))
    start_runner(directory)
    entries = enumerate((each.entry for each in waiting), 1)
    rows = [
        {"position": at, "run_id": each.run_id, "processes": each.processes, "on_gpu": each.on_gpu}
        for at, each in entries
    ]
    _print(rows, as_json)


def _queue_of_host(host: str) -> Any:
    """What `queue --json` prints there. Raises LaunchError, RemoteError, RunNotFoundError, SettingsError."""
    from tuitrain.cli.remote_commands import may_ask, parsed, place_on
    from tuitrain.launch.host.machine import probe, required
    from tuitrain.launch.host.start import RemoteDirectory, run_tuitrain
    from tuitrain.remote.hosts import has_path
    from tuitrain.runs import RunNotFoundError

    address = place_on(host)
    machine = probe(address.host, [address.path or "."], ask=may_ask(), more='if [ -d "$1" ]; then echo "runs $1"; fi')
    if "runs" not in machine.facts:
        if has_path(host):
            raise RunNotFoundError(f"There is no directory {address}.")
        return []
    required(machine)
    words = ["queue", "--json", f"--runs-dir={machine.path_of(address)}"]
    at = RemoteDirectory(machine, machine.home)
    return parsed(machine.host, run_tuitrain(at, words, say=say, ask=may_ask()))


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    def needs(processes: int, on_gpu: bool) -> str:
        return f"{processes} {'GPU' if on_gpu else 'CPU slot'}{'s'[: processes > 1]}"

    if as_json:
        print_json(rows)
    elif rows:
        print_table([
            Column("position", [str(row["position"]) for row in rows], "right"),
            Column("id", [row["run_id"] for row in rows]),
            Column("needs", [needs(row["processes"], row["on_gpu"]) for row in rows]),
        ])  # fmt: skip
    else:
        say("The queue is empty.")
