"""Arguments and options that several commands share, with their shell completion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tuitrain.cli.completion import complete_override, complete_preset, complete_run, complete_strategy, complete_theme
from tuitrain.plots.axes import XAxis

RUN_HELP = "A run: its id, a unique prefix, `latest`, a run directory or a metrics.jsonl."

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=complete_run, show_default=False)
]
RunsArgument = Annotated[
    list[str], typer.Argument(metavar="RUN...", help=RUN_HELP, autocompletion=complete_run, show_default=False)
]
OptionalRunsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN...]", help=RUN_HELP, autocompletion=complete_run, show_default=False),
]
PresetArgument = Annotated[
    str,
    typer.Argument(
        metavar="PRESET|FILE.toml",
        help="A preset (`tuitrain presets` lists them) or a configuration file.",
        autocompletion=complete_preset,
        show_default=False,
    ),
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE...]",
        help="Keys to override, such as train.max_steps=200.",
        autocompletion=complete_override,
        show_default=False,
    ),
]
RunsDirOption = Annotated[
    Path | None,
    typer.Option(
        "--runs-dir",
        envvar="TUITRAIN_RUNS_DIR",
        help="Where runs lie. Default: ./runs.",
        show_default=False,
    ),
]


def _check_runs_dir(ctx: typer.Context, path: Path | None) -> Path | None:
    """Refuse a flag with a directory that is not there; that of a variable or of a file may come to be."""
    from tuitrain.runs import RunNotFoundError

    source = ctx.get_parameter_source("runs_dir")
    if path is not None and source is not None and source.name == "COMMANDLINE" and not path.exists():
        raise RunNotFoundError(f"--runs-dir: there is no directory {path}.")
    return path


ExistingRunsDirOption = Annotated[
    Path | None,
    typer.Option(
        "--runs-dir",
        envvar="TUITRAIN_RUNS_DIR",
        help="Where runs lie. Default: ./runs.",
        callback=_check_runs_dir,
        show_default=False,
    ),
]
XOption = Annotated[
    XAxis | None,
    typer.Option("--x", help="What the x axis shows. Default: as the last time, at first step.", show_default=False),
]
ThemeOption = Annotated[
    str | None,
    typer.Option(
        "--theme",
        metavar="NAME",
        help="Colours: dark, light, contrast, colour-blind, terminal and others.",
        autocompletion=complete_theme,
        show_default=False,
    ),
]
RefreshOption = Annotated[
    float | None,
    typer.Option("--refresh", metavar="S", help="Seconds between two drawings. Default: 1.", show_default=False),
]
ChartsOption = Annotated[
    Literal["braille", "plotext"] | None,
    typer.Option("--charts", help="What draws the charts. Default: braille.", show_default=False),
]
ReadonlyOption = Annotated[
    bool | None,
    typer.Option("--readonly", help="Only look: nothing can be done to a run or a file.", show_default=False),
]
AsciiOption = Annotated[
    bool | None,
    typer.Option("--ascii", help="Draw without braille and box characters.", show_default=False),
]
NoPlotOption = Annotated[bool, typer.Option("--no-plot", help="Without the chart of the loss above the tables.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
GpusOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Processes, one a GPU; on the CPU they talk through gloo. Default: all GPUs the batch divides over.",
        show_default=False,
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How they share the work: auto, single, ddp, zero1, fsdp or hsdp; the same as parallel.strategy=NAME.",
        autocompletion=complete_strategy,
        show_default=False,
    ),
]


def with_strategy(overrides: list[str] | None, strategy: str | None) -> list[str]:
    """The overrides, and --strategy as one more."""
    return [*(overrides or []), *([f"parallel.strategy={strategy}"] if strategy else [])]


ForceOption = Annotated[bool, typer.Option("--force", help="Start even if the model is estimated not to fit.")]
