"""`tuitrain export`: figures, numbers and weights as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuitrain.cli.completion import complete_panel
from tuitrain.cli.options import JsonOption, OptionalRunsArgument, RunArgument, RunsArgument, RunsDirOption
from tuitrain.cli.output import print_json, say, say_unread

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def export() -> None:
    """\b
    Examples:
      tuitrain export plots latest
      tuitrain export plots RUN RUN --format png,pdf --out figures
      tuitrain export metrics latest --format csv > run.csv
      tuitrain export comparison RUN RUN --out comparison.json
      tuitrain export weights latest --out model

    Figures, numbers and weights as files.
    """


@app.command("plots", short_help="The six-panel figure of each run, and the comparison of several.")
def plots(
    runs: OptionalRunsArgument = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the figures.")] = Path("figures"),
    formats: Annotated[str, typer.Option("--format", help="png, pdf, svg, txt, ansi; several with commas.")] = "png",
    dpi: Annotated[int, typer.Option(min=30, max=1200, help="Resolution of png.")] = 200,
    style: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A matplotlib style sheet.", show_default=False)
    ] = None,
    x: Annotated[Literal["step", "tokens", "time"], typer.Option("--x", help="What the x axis shows.")] = "step",
    panels: Annotated[
        str | None,
        typer.Option(
            "--panel",
            metavar="NAMES",
            autocompletion=complete_panel,
            show_default=False,
            help="Draw these panels of the dashboard as figures of their own, such as loss,val_loss,lr.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Width and height in inches, such as 3.3x2.5.", show_default=False),
    ] = None,
    title: Annotated[bool, typer.Option("--title/--no-title", help="Names and titles above the curves.")] = True,
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain export plots latest
      tuitrain export plots RUN RUN --format png,pdf --out figures
      tuitrain export plots RUN RUN --panel loss --format pdf --size 3.3x2.5 --no-title
      tuitrain export plots latest --format txt   charts as text; ansi: with colours
      tuitrain export plots                       every run there is

    The six-panel analysis figure of each run and, with several, the comparison figure.
    """
    from tuitrain.export import text_charts
    from tuitrain.export.selection import can_be_drawn
    from tuitrain.runs import find_run, list_runs, load_history, runs_directory

    where, suffixes = runs_directory(runs_dir), _formats(formats)
    chosen = [find_run(name, where) for name in runs] if runs else _with_steps(list_runs(where), where)
    pairs = [(run, load_history(run)) for run in chosen]
    drawn = [(run, history) for run, history in pairs if can_be_drawn(history)]
    # When every run is empty, the export says what is wrong.
    names = tuple(dict.fromkeys(name.strip() for name in (panels or "").split(",") if name.strip()))
    as_text = [name for name in suffixes if name in text_charts.FORMATS]
    as_figure = [name for name in suffixes if name not in text_charts.FORMATS]
    paths = []
    if as_figure:
        from tuitrain.export.figures import export_plots

        paths = export_plots(drawn or pairs, out, as_figure, dpi, style, x=x, panels=names, size=_size(size),
                             title=title)  # fmt: skip
    if as_text:
        paths += text_charts.export_text_charts(drawn or pairs, out, as_text, x, panels=names)
    say_unread((run.run_id, history) for run, history in pairs)
    for run, history in pairs:
        if not can_be_drawn(history):
            say(f"{run.run_id} is left out: its log holds no step and no evaluation yet.")
    _print_paths(paths, as_json)


def _size(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    try:
        size = float(width), float(height)
    except ValueError:
        size = 0.0, 0.0
    if not all(1 <= each <= 100 for each in size):
        raise typer.BadParameter(f"{text!r} is not a size in inches of 1 to 100, such as 6.5x3.9.", param_hint="--size")
    return size


def _with_steps(runs: list[RunDirectory], where: Path) -> list[RunDirectory]:
    from tuitrain.launch import LaunchError
    from tuitrain.runs import read_snapshot

    trained = [run for run in runs if read_snapshot(run).step is not None]
    if not trained:
        raise LaunchError(f"There are no runs with steps in {where}.", exit_code=3)
    return trained


def _formats(text: str) -> tuple[str, ...]:
    known = ("png", "pdf", "svg", "txt", "ansi")
    given = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None or not given:
        raise typer.BadParameter(f"{unknown or text!r} is not one of {', '.join(known)}.", param_hint="--format")
    return given


def _print_paths(paths: list[Path], as_json: bool) -> None:
    if as_json:
        return print_json([str(path) for path in paths])
    for path in paths:
        print(path)
    return None


@app.command("metrics", short_help="The numbers of a run: csv, jsonl, json, parquet or TensorBoard.")
def metrics(
    run: RunArgument,
    metrics_format: Annotated[
        Literal["csv", "jsonl", "json", "parquet", "tensorboard"],
        typer.Option("--format", help="json is the older nested run file; tensorboard writes a log directory."),
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to. Default: stdout.", show_default=False)
    ] = None,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain export metrics latest > run.csv
      tuitrain export metrics latest --format parquet --out run.parquet
      tuitrain export metrics latest --format tensorboard --out tb

    The numbers of a run, one row a step, with evaluations in columns of their own.
    """
    from tuitrain.export.metrics import export_metrics
    from tuitrain.runs import find_run, load_history, runs_directory

    directory = find_run(run, runs_directory(runs_dir))
    history = load_history(directory)
    written = export_metrics(history, metrics_format, out)
    say_unread([(directory.run_id, history)])
    if written is not None:
        print(written)


@app.command("comparison", short_help="Runs side by side as one JSON file.")
def comparison(
    runs: RunsArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to. Default: stdout.", show_default=False)
    ] = None,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain export comparison RUN RUN > comparison.json
      tuitrain export comparison RUN RUN RUN --out comparison.json

    Runs side by side as JSON: hyperparameters, final metrics and curves of each.
    """
    from tuitrain.export.comparison import export_comparison
    from tuitrain.runs import find_run, load_history, runs_directory

    where = runs_directory(runs_dir)
    pairs = [(run, load_history(run)) for run in (find_run(name, where) for name in runs)]
    text = export_comparison(pairs, out)
    say_unread((run.run_id, history) for run, history in pairs)
    print(text if out is None else f"{out}\n", end="")


@app.command("weights", short_help="The weights of a checkpoint as safetensors, for transformers to read.")
def weights(
    run: RunArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A directory to make, or an empty one.")] = Path("weights"),
    step: Annotated[int | None, typer.Option(min=0, help="Checkpoint of this step. Default: the newest.")] = None,
    split: Annotated[bool, typer.Option("--split", help="Body, embeddings and output head in three files.")] = False,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="Element type; float32 is exact.")
    ] = "float32",
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain export weights latest --out model
      tuitrain export weights RUN --step 2000 --dtype bfloat16 --out model
      tuitrain export weights RUN --split --out parts

    The weights of a checkpoint with config.json and tokenizer, in the Hugging Face layout of GPT-2, Llama or Qwen3.
    """
    import subprocess
    import sys

    from tuitrain.events.checkpoints import complete_checkpoints
    from tuitrain.launch import LaunchError
    from tuitrain.launch.preflight import require_engine
    from tuitrain.runs import find_run, runs_directory

    require_engine()
    directory = find_run(run, runs_directory(runs_dir))
    if not complete_checkpoints(directory.path):
        raise LaunchError(f"{directory.run_id} has no complete checkpoint to export.", exit_code=3)
    command = [sys.executable, "-m", "tuitrain_engine", "export-weights", f"--run-dir={directory.path}", f"--out={out}"]
    command += [f"--dtype={dtype}", *([] if step is None else [f"--step={step}"])]
    command += [*(["--split"] if split else []), *(["--json"] if as_json else [])]
    raise typer.Exit(subprocess.run(command, stdin=subprocess.DEVNULL).returncode)
