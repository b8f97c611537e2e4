"""Arguments and options that several commands share, with their shell completion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tuitrain.cli.completion import complete_override, complete_preset, complete_run, complete_strategy, complete_theme
from tuitrain.plots.axes import XAxis

RUN_HELP = "A run: its id, a unique prefix, `latest`, a run directory or a metrics.jsonl."
PRESET_HELP = "A preset (`tuitrain presets` lists them) or a configuration file."
RUNS_DIR_HELP = "Directory of the runs. Default: ./runs."

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=complete_run)]
RunsArgument = Annotated[list[str], typer.Argument(metavar="RUN...", help=RUN_HELP, autocompletion=complete_run)]
OptionalRunsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[RUN...]", help=RUN_HELP, autocompletion=complete_run)
]
PresetArgument = Annotated[
    str, typer.Argument(metavar="PRESET|FILE.toml", help=PRESET_HELP, autocompletion=complete_preset)
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE...]", help="Keys to override, such as train.max_steps=200.",
                   autocompletion=complete_override),
]  # fmt: skip
RunsDirOption = Annotated[Path | None, typer.Option("--runs-dir", envvar="TUITRAIN_RUNS_DIR", help=RUNS_DIR_HELP)]


def _check_runs_dir(ctx: typer.Context, path: Path | None) -> Path | None:
    """Reject a missing directory given as a flag; that of a variable or of a settings file may be made later."""
    from tuitrain.runs import RunNotFoundError

    source = ctx.get_parameter_source("runs_dir")
    if path is not None and source is not None and source.name == "COMMANDLINE" and not path.exists():
        raise RunNotFoundError(f"--runs-dir: there is no directory {path}.")
    return path


ExistingRunsDirOption = Annotated[
    Path | None,
    typer.Option("--runs-dir", envvar="TUITRAIN_RUNS_DIR", help=RUNS_DIR_HELP, callback=_check_runs_dir),
]
XOption = Annotated[
    XAxis | None, typer.Option("--x", help="What the x axis shows. Default: as the last time, at first step.")
]
ThemeOption = Annotated[
    str | None,
    typer.Option("--theme", metavar="NAME", autocompletion=complete_theme,
                 help="Colours: dark, light, contrast, colour-blind, terminal and others."),
]  # fmt: skip
RefreshOption = Annotated[
    float | None, typer.Option("--refresh", metavar="S", help="Seconds between two drawings. Default: 1.")
]
ChartsOption = Annotated[
    Literal["braille", "plotext"] | None,
    typer.Option("--charts", help="What draws the charts. Default: braille."),
]
ReadonlyOption = Annotated[bool | None, typer.Option("--readonly", help="Only look: no run or file can be changed.")]
AsciiOption = Annotated[bool | None, typer.Option("--ascii", help="Draw without braille and box characters.")]
NoPlotOption = Annotated[bool, typer.Option("--no-plot", help="Without the chart of the loss above the tables.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
FileOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to. Default: stdout.")]
StepOption = Annotated[int | None, typer.Option(min=0, help="Checkpoint of this step. Default: the newest.")]
DetachOption = Annotated[bool, typer.Option("--detach", "-d", help="Start it, print its id, and return.")]
ForegroundOption = Annotated[
    bool, typer.Option("--foreground", "-f", help="Stay with it; Ctrl-C stops the run gracefully.")
]
GpusOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Processes, one a GPU; on the CPU they communicate through gloo. "
                                          "Default: all GPUs the batch divides over."),
]  # fmt: skip
StrategyOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", autocompletion=complete_strategy,
                 help="How they share the work: auto, single, ddp, zero1, fsdp or hsdp; "
                      "the same as parallel.strategy=NAME."),
]  # fmt: skip
ForceOption = Annotated[bool, typer.Option("--force", help="Start even if the model is estimated not to fit.")]


def with_strategy(overrides: list[str] | None, strategy: str | None) -> list[str]:
    """The overrides, and --strategy as one more."""
    return [*(overrides or []), *([f"parallel.strategy={strategy}"] if strategy else [])]


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """Options as arguments of a command line, without those that are None or False."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]
