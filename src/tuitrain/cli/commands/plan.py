"""`tuitrain plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tuitrain.cli import nodes_options, options
from tuitrain.cli.completion import complete_gpu, complete_preset
from tuitrain.cli.output import print_json, print_rows

if TYPE_CHECKING:
    from tuitrain.launch.machine import Device


def plan(
    preset: Annotated[
        str,
        typer.Argument(metavar="PRESET|FILE.toml", help=options.PRESET_HELP, autocompletion=complete_preset),
    ],
    overrides: options.Overrides = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Plan for this GPU, such as H100. Default: this machine.", autocompletion=complete_gpu
        ),
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, metavar="N", help="Number of GPUs, one process each.")] = 1,
    nodes: nodes_options.Nodes = None,
    strategy: options.Strategy = None,
    mfu: Annotated[
        float, typer.Option(min=0.01, max=1, metavar="X", help="Model FLOPs utilisation assumed for the time, 0 to 1.")
    ] = 0.4,
    as_json: options.Json = False,
) -> None:
    """\b
    Examples:
      tuitrain plan qwen3-1.8b --gpu H100 --gpus 8
      tuitrain plan llama2-1.3b train.micro_batch_size=2 --gpu "RTX 4090" --mfu 0.35
      tuitrain plan llama3-8b --gpu H200 --gpus 8 --strategy fsdp
      tuitrain plan llama3-8b --gpu H200 --gpus 8 --nodes 4
      tuitrain plan my-run.toml --json

    Parameters, FLOPs per token, memory and time of a configuration. Nothing is started.

    The time is that of the token budget at the stated utilisation; only a run shows the true one. A
    configuration that does not fit has no time: settings that would fit are printed, and the exit code is 1.
    """
    # Imported here: `--help` does without.
    from tuitrain.config import load_config
    from tuitrain.config.requirements import check_processes
    from tuitrain.launch.machine import find_machine, training_device
    from tuitrain.launch.plan import make_plan
    from tuitrain.launch.plan_view import plan_json, plan_rows

    config = load_config(preset, options.with_strategy(overrides, strategy))
    count = nodes or 1
    check_processes(config, gpus * count, count)
    device = _named(gpu) if gpu else training_device(config, find_machine())
    made = make_plan(config, device, gpus=gpus * count, nodes=count, mfu=mfu)
    if as_json:
        print_json(plan_json(made))
    else:
        print(config.name)
        print_rows(plan_rows(made))
    if made.fits is False:
        raise typer.Exit(1)


def _named(name: str) -> Device:
    from tuitrain.accounting import GPUS
    from tuitrain.config.errors import suggest
    from tuitrain.launch import LaunchError
    from tuitrain.launch.machine import gpu_by_name

    gpu = gpu_by_name(name)
    if gpu is None:
        names = [each.name for each in GPUS]
        raise LaunchError(f"--gpu: {name!r} is not known.{suggest(name, names)} Known: {', '.join(names)}.")
    return gpu
