"""Arguments and options that several commands share, with their shell completion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tuitrain.cli.completion import complete_override, complete_run, complete_strategy, complete_theme
from tuitrain.cli.patience import read_patiently
from tuitrain.plots.axes import XAxis

RUN_HELP = (
    "A run: its id, a unique prefix, `latest`, `group:NAME` (all runs of a sweep), a run directory, a metrics.jsonl, "
    "a log or folder of another tool, or HOST:PATH, one of these on another machine."
)
PRESET_HELP = "A preset (`tuitrain presets` lists them) or a configuration file."

Run = Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=complete_run)]
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help=RUN_HELP, autocompletion=complete_run)]
OptionalRuns = Annotated[
    list[str] | None, typer.Argument(metavar="[RUN...]", help=RUN_HELP, autocompletion=complete_run)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE...]", help="Keys to override, such as train.max_steps=200.",
                   autocompletion=complete_override),
]  # fmt: skip


def _check_runs_dir(ctx: typer.Context, path: Path | None) -> Path | None:
    """Reject a missing directory given as a flag; that of a variable or of a settings file may be made later."""
    source = ctx.get_parameter_source("runs_dir")
    given = source is not None and source.name == "COMMANDLINE"
    if path is not None and given and not read_patiently(str(path), path.exists):
        # Imported here: `--help` does without.
        from tuitrain.runs import RunNotFoundError

        raise RunNotFoundError(f"--runs-dir: there is no directory {path}.")
    return path


def _check_name(name: str | None) -> str | None:
    if name is None:
        return None
    # Imported here: `--help` does without.
    from tuitrain.config.run_config import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise typer.BadParameter(
            f"{name!r} is not valid: up to 64 letters, digits, dots, dashes and underscores, a letter or digit first."
        )
    return name


Name = Annotated[
    str | None, typer.Option(help="Short name of the run. Default: that of the configuration.", callback=_check_name)
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A tag of the run; may be repeated.")]
Notes = Annotated[list[str] | None, typer.Option("--note", help="A note on the run; may be repeated.")]
_RUNS_DIR: dict[str, Any] = {
    "envvar": "TUITRAIN_RUNS_DIR", "help": "Directory of the runs. Default: ./runs.", "metavar": "PATH",
    # Typer's own looks at the file, which may be on a file system that does not answer.
    "parser": Path,
}  # fmt: skip
RunsDir = Annotated[Path | None, typer.Option("--runs-dir", **_RUNS_DIR)]
ExistingRunsDir = Annotated[Path | None, typer.Option("--runs-dir", callback=_check_runs_dir, **_RUNS_DIR)]
X = Annotated[XAxis | None, typer.Option("--x", help="Unit of the x axis. Default: the one used last, at first step.")]
Theme = Annotated[
    str | None,
    typer.Option("--theme", metavar="NAME", autocompletion=complete_theme,
                 help="Colours: dark, light, contrast, colour-blind, terminal and others."),
]  # fmt: skip
Refresh = Annotated[
    float | None, typer.Option("--refresh", metavar="S", help="Seconds between updates of the screen. Default: 1.")
]
Readonly = Annotated[bool | None, typer.Option("--readonly", help="Disable the actions that change a run or a file.")]
Ascii = Annotated[bool | None, typer.Option("--ascii", help="Draw with ASCII characters only.")]
NoPlot = Annotated[bool, typer.Option("--no-plot", help="Omit the chart of the loss above the tables.")]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="NAME=OURS",
                 help="In a log of another tool, the metric NAME is our metric OURS (empty: none). It is kept."),
]  # fmt: skip
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE",
                 help="A fact that a log of another tool lacks: gpu, gpus, peak_tflops, params, flops_per_token, "
                      "tokens_per_step, total_steps, token_budget. It is kept beside the settings."),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


def _price(price: float | None) -> float | None:
    """The price, else that of the settings; rejects inf and nan."""
    if price is None:
        # Imported here: completion does without.
        from tuitrain.settings import price_setting

        return price_setting()
    if not price < float("inf"):
        raise typer.BadParameter(f"{price} is not a price.")
    return price


Baseline = Annotated[
    str | None,
    typer.Option(metavar="RUN", help=f"Run to which differences refer. Default: the first. {RUN_HELP}",
                 autocompletion=complete_run),
]  # fmt: skip
UsdPerGpuHour = Annotated[
    float | None,
    typer.Option("--usd-per-gpu-hour", metavar="USD", min=0, envvar="TUITRAIN_USD_PER_GPU_HOUR", callback=_price,
                 help="Price of a GPU-hour, for the costs. Default: usd_per_gpu_hour of the settings."),
]  # fmt: skip
OutFile = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="File to write. Default: stdout.")]
CheckpointStep = Annotated[int | None, typer.Option(min=0, help="Step of the checkpoint. Default: the newest.")]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Print the id of the run, and return at its first record.")
]
Foreground = Annotated[
    bool, typer.Option("--foreground", "-f", help="Wait for the end of the run; Ctrl-C stops it gracefully.")
]
Strategy = Annotated[
    str | None,
    typer.Option(metavar="NAME", autocompletion=complete_strategy,
                 help="How the processes share the work: auto, single, ddp, zero1, fsdp or hsdp; "
                      "the same as parallel.strategy=NAME."),
]  # fmt: skip
Force = Annotated[bool, typer.Option("--force", help="Start even if the model is estimated not to fit.")]


Retries = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="Restart the run up to N times from its newest checkpoint when it crashes, "
                                          "but not when it crashes at the same step again."),
]  # fmt: skip
SkipBadBatch = Annotated[
    bool,
    typer.Option("--skip-bad-batch", help="With --retries: pass over the batch of a step at which it crashes twice."),
]


Halving = Annotated[
    bool,
    typer.Option("--halving", help="Of a sweep: stop the worse half of its runs early, by their losses at the same "
                                   "steps."),
]  # fmt: skip
HalvingFactor = Annotated[
    int | None,
    typer.Option(min=2, metavar="N", help="With --halving: a run goes on if it is among the best 1/N. Default: 2."),
]
FirstRung = Annotated[
    float | None,
    typer.Option(min=0.001, max=0.999, metavar="SHARE",
                 help="With --halving: the share of the steps after which runs are compared first, and then each time "
                      "after N times as many. Default: 0.125."),
]  # fmt: skip


def with_strategy(overrides: list[str] | None, strategy: str | None) -> list[str]:
    """The overrides, and --strategy as one more."""
    return [*(overrides or []), *([f"parallel.strategy={strategy}"] if strategy else [])]


def as_arguments(values: Mapping[str, Any]) -> list[str]:
    """Options as arguments of a command line, without those that are None or False."""
    given = {name: value for name, value in values.items() if value is not None and value is not False}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]
