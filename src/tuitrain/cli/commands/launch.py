"""`tuitrain launch`: start a run here, detached, in the foreground, or only on paper."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from tuitrain.cli.completion import complete_preset
from tuitrain.cli.options import (
    ForceOption,
    GpusOption,
    JsonOption,
    OverridesArgument,
    RunsDirOption,
    StrategyOption,
    with_strategy,
)
from tuitrain.cli.output import is_terminal, print_json, print_rows, say

if TYPE_CHECKING:
    from subprocess import Popen

    from tuitrain.config import RunConfig
    from tuitrain.launch.local import Label
    from tuitrain.runs import RunDirectory
    from tuitrain.tui.settings import LoadedSettings

COMMAND_KEY = "tuitrain.command"


def _check_name(name: str | None) -> str | None:
    from tuitrain.config.run_config import NAME_PATTERN

    if name is not None and not re.fullmatch(NAME_PATTERN, name):
        raise typer.BadParameter(
            f"{name!r} is not valid: up to 64 letters, digits, dots, dashes and underscores, a letter or digit first."
        )
    return name


class LaunchCommand(TyperCommand):
    """Keeps what follows `--` apart, as the command line of another training program."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before `--` and keep the rest in the context."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[COMMAND_KEY] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


COMMAND_CLASS = LaunchCommand
"""What the table of commands makes of `launch`."""


def launch(
    ctx: typer.Context,
    preset: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET|FILE.toml",
            help="A preset (`tuitrain presets` lists them) or a configuration file.",
            autocompletion=complete_preset,
            show_default=False,
        ),
    ] = None,
    overrides: OverridesArgument = None,
    name: Annotated[
        str | None, typer.Option(help="Short name of the run. Default: the preset's.", callback=_check_name)
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag to find the run by; may be repeated.")] = None,
    note: Annotated[list[str] | None, typer.Option(help="A note to keep with the run; may be repeated.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it, print its id, and return.")] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Stay with it; Ctrl-C stops the run gracefully.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Open the dashboard, as a terminal does anyway.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, the memory fit and the command; start nothing.")
    ] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Ten steps that also evaluate, sample, save, load and draw.")
    ] = False,
    gpus: GpusOption = None,
    strategy: StrategyOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain launch llama2-tiny
      tuitrain launch gpt2-124m data.source=corpus.txt train.max_steps=2000 --name first
      tuitrain launch my-run.toml --detach
      tuitrain launch qwen3-0.6b --dry-run
      tuitrain launch llama2-tiny --smoke
      tuitrain launch llama2-1.3b --gpus 8 --strategy fsdp
      tuitrain launch --name mine -- python train.py --lr 3e-4

    Start a training run. It trains on when the terminal closes.

    On a terminal the dashboard opens. Elsewhere the run is followed as plain lines, and its exit code is this
    command's. After `--` comes any other training program: it runs as a run, finds TUITRAIN_RUN_DIR in its environment,
    and may write events there.
    """
    from tuitrain.launch import LaunchError
    from tuitrain.launch.local import Label
    from tuitrain.runs import runs_directory

    ways = {"--detach": detach, "--foreground": foreground, "--watch": watch, "--dry-run": dry_run, "--smoke": smoke}
    if len(_given(ways)) > 1:
        raise typer.BadParameter(f"{' and '.join(_given(ways))} exclude each other.")
    if watch and not is_terminal():
        raise LaunchError("--watch needs a terminal; without one the run is followed as plain lines.")
    settings = None
    if not (dry_run or smoke):
        settings = dashboard_settings(detach=detach, foreground=foreground, as_json=as_json)
    command, directory = ctx.meta.get(COMMAND_KEY), runs_directory(runs_dir)
    if command is not None:
        engine_only = {"--dry-run": dry_run, "--smoke": smoke, "--gpus": gpus, "--strategy": strategy}
        if preset is not None and command:
            raise LaunchError(f"Give a preset or a command, not both: {preset!r} and {command[0]!r}.")
        if _given(engine_only):
            flags = " and ".join(_given(engine_only))
            raise LaunchError(f"{flags}: only for the engine's own configurations, not for a command.")
        run, process = _start_external(command, Label(name or "", tag or [], note or []), directory)
    else:
        config = _configuration(ctx, preset, with_strategy(overrides, strategy), name)
        if dry_run:
            return _dry_run(config, gpus, directory, as_json, force)
        if smoke:
            return _smoke(config, gpus, as_json, force)
        run, process = _start(config, Label(config.name, tag or [], note or []), directory, gpus, force)
    return attend(run, process, settings, detach=detach, foreground=foreground, as_json=as_json)


def _given(flags: dict[str, Any]) -> list[str]:
    return [flag for flag, value in flags.items() if value]


def _configuration(ctx: typer.Context, preset: str | None, overrides: list[str], name: str | None) -> RunConfig:
    from tuitrain.config import load_config
    from tuitrain.launch.preflight import with_absolute_paths

    if preset is None:
        raise typer.BadParameter("give a preset, a configuration file, or a command after `--`.", ctx=ctx)
    return with_absolute_paths(load_config(preset, [*overrides, *([f"name={name}"] if name else [])]))


def _start(
    config: RunConfig, label: Label, directory: Path, gpus: int | None, force: bool
) -> tuple[RunDirectory, Popen[bytes]]:
    from tuitrain.launch.detached import start_run

    started = start_run(config, directory, label, gpus=gpus, force=force)
    if started.note:
        say(started.note)
    return started.run, started.process


def _start_external(command: list[str], label: Label, directory: Path) -> tuple[RunDirectory, Popen[bytes]]:
    from tuitrain.launch import LaunchError
    from tuitrain.launch.local import start, starting, wrapped_command
    from tuitrain.runs import create_run_directory

    if not command:
        raise LaunchError("There is no command after `--`.")
    if shutil.which(command[0]) is None:
        raise LaunchError(f"{command[0]}: no such command.", exit_code=3)
    label = replace(label, name=label.name or Path(command[0]).stem)
    run = create_run_directory(directory.absolute(), label.name)
    with starting(run):
        return run, start(run, wrapped_command(run, command), label)


def dashboard_settings(*, detach: bool, foreground: bool, as_json: bool) -> LoadedSettings | None:
    """The settings where a launch or a resume will open the dashboard, else None.

    Raises SettingsError, so it is called before anything is started.
    """
    if detach or foreground or as_json or not is_terminal():
        return None
    from tuitrain.tui.settings import load_settings

    return load_settings()


def attend(
    run: RunDirectory,
    process: Popen[bytes],
    settings: LoadedSettings | None,
    *,
    detach: bool,
    foreground: bool,
    as_json: bool,
    console_bytes: int = 0,
) -> None:
    """What a launch or a resume does after the start: return, follow plain lines, or open the dashboard.

    settings: what `dashboard_settings` returned. console_bytes: how much of the console is of earlier attempts.
    """
    if detach:
        return _announce(run, process.pid, as_json)
    if settings is not None:
        return _watch(run, settings)
    say(f"run {run.run_id}")
    say(f"in  {run.path}")
    try:
        code = _follow(run, process, foreground, to_stderr=as_json, console_bytes=console_bytes)
    except KeyboardInterrupt:
        say(f"\nTraining goes on. {_what_next(run)}")
        raise
    if as_json:
        from tuitrain.runs import read_snapshot

        print_json(
            {"run_id": run.run_id, "path": str(run.path), "status": read_snapshot(run).status, "exit_code": code}
        )
    raise typer.Exit(code)


def _follow(run: RunDirectory, process: Popen[bytes], foreground: bool, to_stderr: bool, console_bytes: int) -> int:
    from tuitrain.launch.local import follow

    stream = sys.stderr if to_stderr else sys.stdout

    def write(text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            if not foreground:
                raise
            # Nobody reads on, as with `| head`; the run stays tied to this command.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    return follow(run, process, write, foreground=foreground, console_bytes=console_bytes)


def _announce(run: RunDirectory, pid: int, as_json: bool) -> None:
    if as_json:
        return print_json({"run_id": run.run_id, "path": str(run.path), "pid": pid})
    print(run.run_id)
    say(_what_next(run))
    return None


def _what_next(run: RunDirectory) -> str:
    from tuitrain.runs import command_for

    return f"Look: {command_for('watch', run)} · end it: {command_for('stop', run)}"


def _watch(run: RunDirectory, settings: LoadedSettings) -> None:
    from tuitrain.runs import read_snapshot
    from tuitrain.tui.app import run_app

    code = run_app("watch", [run], run.path.parent, loaded=settings)
    status = read_snapshot(run).status
    if not status.live:
        print(f"{run.run_id}  {status}")
    raise typer.Exit(code)


def _dry_run(config: RunConfig, gpus: int | None, directory: Path, as_json: bool, force: bool) -> None:
    from tuitrain.launch import preflight
    from tuitrain.launch.local import train_command
    from tuitrain.launch.machine import find_machine, training_device
    from tuitrain.launch.plan import make_plan
    from tuitrain.launch.plan_view import plan_json, plan_rows
    from tuitrain.runs import RunDirectory

    # The memory fit is part of what is printed, and only then a reason to fail, as the launch would.
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
    from tuitrain.launch.smoke import Check, run_smoke

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
