"""`tuitrain export`: figures, numbers and weights as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuitrain.cli import options
from tuitrain.cli.completion import complete_figure
from tuitrain.cli.engine import require_checkpoint, run_engine
from tuitrain.cli.lookup import find_compared, find_one, find_own_one, find_runs
from tuitrain.cli.output import print_json, print_lines, say, say_unread, with_progress

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def export() -> None:
    """\b
    Examples:
      tuitrain export plots latest
      tuitrain export plots RUN RUN --format png,pdf --out figures
      tuitrain export metrics latest --format csv > run.csv
      tuitrain export comparison RUN RUN --out comparison.json
      tuitrain export report RUN RUN --html
      tuitrain export weights latest --out model

    Write figures, metrics, reports, texts or weights to files.
    """


@app.command("plots", short_help="The six-panel figure of each run, and the comparison of several.")
def plots(
    runs: options.OptionalRuns = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the figures.")] = Path("figures"),
    formats: Annotated[str, typer.Option("--format", help="png, pdf, svg, txt, ansi; several with commas.")] = "png",
    dpi: Annotated[int, typer.Option(min=30, max=1200, help="Resolution of png.")] = 200,
    style: Annotated[
        Path | None, typer.Option(metavar="FILE|NAME", help="A matplotlib style sheet, or the name of one of its own.")
    ] = None,
    x: Annotated[Literal["step", "tokens", "time", "flops"], typer.Option("--x", help="Unit of the x axis.")] = "step",
    figures: Annotated[
        list[str] | None,
        typer.Option(
            "--figure",
            metavar="NAME",
            autocompletion=complete_figure,
            help="Draw this figure; repeatable: analysis, learning, comparison, or a panel or metric, such as loss, "
            "loss_accuracy, recent, moving_average, samples, layers, step_time.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|WxH", help="paper, slide or poster; or width and height in inches, such as 3.3x2.5."
        ),
    ] = None,
    title: Annotated[bool, typer.Option("--title/--no-title", help="Draw names and titles above the curves.")] = True,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain export plots latest
      tuitrain export plots RUN RUN --format png,pdf --out figures
      tuitrain export plots RUN RUN --figure loss --format pdf --size paper --no-title
      tuitrain export plots latest --figure learning --figure samples --size slide
      tuitrain export plots latest --format txt   charts as text; ansi: with colours
      tuitrain export plots                       all runs

    The six-panel analysis figure of each run and, with several, the comparison figure.
    """
    # Imported here: `--help` does without.
    from tuitrain.alerts import load_rules, watched_history
    from tuitrain.export import text_charts
    from tuitrain.export.selection import can_be_drawn
    from tuitrain.runs import load_history

    suffixes, names, rules = _formats(formats), list(dict.fromkeys(figures or ())), load_rules()
    chosen = find_runs(runs, runs_dir) if runs else _runs_with_steps(runs_dir)
    # Figures mark what the rules find, as the dashboard does.
    pairs = [(run, load_history(run, watched_history(rules))) for run in chosen]
    # When every run is empty, the export reports the error.
    drawn = [(run, history) for run, history in pairs if can_be_drawn(history)] or pairs
    as_text = [name for name in suffixes if name in text_charts.FORMATS]
    paths = []
    if as_figure := [name for name in suffixes if name not in as_text]:
        # matplotlib is imported only for figures.
        from tuitrain.export.figures import export_plots

        paths = export_plots(
            drawn, out, as_figure, dpi, style, x=x, figures=names, size=_size(size), title=title, progress=with_progress
        )
    if as_text:
        paths += text_charts.export_text_charts(drawn, out, as_text, x, figures=names)
    say_unread((run.run_id, history) for run, history in pairs)
    for run, history in pairs:
        if not can_be_drawn(history):
            say(f"{run.run_id} is left out: its log has no step and no evaluation yet.")
    if as_json:
        print_json([str(path) for path in paths])
    else:
        print_lines(map(str, paths))


def _size(text: str | None) -> str | tuple[float, float] | None:
    """The name of a size or inches."""
    names = ("paper", "slide", "poster")
    if text is None or text in names:
        return text
    width, _, height = text.lower().partition("x")
    try:
        size = float(width), float(height)
    except ValueError:
        size = 0.0, 0.0
    if not all(1 <= each <= 100 for each in size):
        raise typer.BadParameter(
            f"{text!r} is neither {', '.join(names)} nor a size in inches of 1 to 100, such as 6.5x3.9.",
            param_hint="--size",
        )
    return size


def _runs_with_steps(runs_dir: Path | None) -> list[RunDirectory]:
    from tuitrain.runs import RunNotFoundError, list_runs, read_snapshot, runs_directory

    directory = runs_directory(runs_dir)
    trained = [run for run in list_runs(directory) if read_snapshot(run).step is not None]
    if not trained:
        raise RunNotFoundError(f"There are no runs with steps in {directory}.")
    return trained


def _words(text: str) -> list[str]:
    """The words between commas, each once."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _formats(text: str) -> list[str]:
    known = ("png", "pdf", "svg", "txt", "ansi")
    formats = _words(text.lower())
    unknown = next((name for name in formats if name not in known), None)
    if unknown is not None or not formats:
        raise typer.BadParameter(f"{unknown or text!r} is not one of {', '.join(known)}.", param_hint="--format")
    return formats


@app.command("metrics", short_help="The metrics of a run: csv, jsonl, json, parquet or TensorBoard.")
def metrics(
    run: options.Run,
    metrics_format: Annotated[
        Literal["csv", "jsonl", "json", "parquet", "tensorboard"],
        typer.Option("--format", help="json: the nested run file of older tools; tensorboard: a log directory."),
    ] = "csv",
    out: options.OutFile = None,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain export metrics latest > run.csv
      tuitrain export metrics latest --format parquet --out run.parquet
      tuitrain export metrics latest --format tensorboard --out tb

    The metrics of a run, one row for each step; evaluations have their own columns.
    """
    from tuitrain.export.metrics import export_metrics
    from tuitrain.runs import load_history

    directory = find_one(run, runs_dir)
    history = load_history(directory)
    written = export_metrics(history, metrics_format, out)
    say_unread([(directory.run_id, history)])
    if written is not None:
        print(written)


@app.command("comparison", short_help="A comparison of runs as one JSON file.")
def comparison(
    runs: options.Runs,
    out: options.OutFile = None,
    usd_per_gpu_hour: options.UsdPerGpuHour = None,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain export comparison RUN RUN > comparison.json
      tuitrain export comparison RUN RUN RUN --usd-per-gpu-hour 2.10 --out comparison.json

    A comparison of runs as JSON: hyperparameters, final metrics and curves of each.
    """
    from tuitrain.export.comparison import export_comparison
    from tuitrain.runs import load_history

    pairs = [(run, load_history(run)) for run in find_runs(runs, runs_dir)]
    text = export_comparison(pairs, out, usd_per_gpu_hour=usd_per_gpu_hour)
    say_unread((run.run_id, history) for run, history in pairs)
    print(text if out is None else f"{out}\n", end="")


@app.command("samples", short_help="The texts that the model wrote: json or Markdown.")
def samples(
    run: options.Run,
    samples_format: Annotated[Literal["json", "markdown"], typer.Option("--format", help="Of the file.")] = "json",
    out: options.OutFile = None,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain export samples latest > samples.json
      tuitrain export samples latest --format markdown --out samples.md

    The texts that the model wrote during training, with their steps and prompts.
    """
    from tuitrain.export.samples import export_samples
    from tuitrain.runs import load_history

    directory = find_one(run, runs_dir)
    history = load_history(directory)
    text = export_samples(directory.run_id, history, samples_format, out)
    say_unread([(directory.run_id, history)])
    print(text if out is None else f"{out}\n", end="")


@app.command("report", short_help="A report of runs as Markdown with figures, or as one HTML file.")
def report(
    runs: options.Runs,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the report.")] = Path("report"),
    as_html: Annotated[
        bool, typer.Option("--html", help="Write one HTML file with everything in it, instead of Markdown and figures.")
    ] = False,
    image: Annotated[Literal["png", "svg"], typer.Option("--format", help="Of the figures.")] = "png",
    dpi: Annotated[int, typer.Option(min=30, max=1200, help="Resolution of png.")] = 100,
    x: Annotated[Literal["step", "tokens", "time", "flops"], typer.Option("--x", help="Unit of the x axis.")] = "step",
    baseline: options.Baseline = None,
    usd_per_gpu_hour: options.UsdPerGpuHour = None,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain export report RUN RUN
      tuitrain export report RUN RUN --baseline latest --out report
      tuitrain export report latest --html --out .

    A report: outcomes, verdict, key findings, what differs, figures, alerts, contradictions in the logs, texts.
    """
    from tuitrain.alerts import load_rules, watched_history
    from tuitrain.cli.run_view import all_alerts
    from tuitrain.export.report import ReportedRun, export_report
    from tuitrain.runs.snapshot import read_whole

    (chosen, at), rules = find_compared(runs, baseline, runs_dir), load_rules()
    read = [(run, *read_whole(run, history=watched_history(rules))) for run in chosen]
    reported = [ReportedRun(run, log, snapshot.status, all_alerts(snapshot, log)) for run, snapshot, log in read]
    paths = export_report(
        reported, out, as_html=as_html, image=image, dpi=dpi, x=x, usd_per_gpu_hour=usd_per_gpu_hour,
        progress=with_progress, baseline=at,
    )  # fmt: skip
    say_unread((run.run_id, history) for run, _, history in read)
    if as_json:
        print_json([str(path) for path in paths])
    else:
        print_lines(map(str, paths))


@app.command("weights", short_help="The weights of a checkpoint as safetensors, for transformers to read.")
def weights(
    run: options.Run,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New or empty directory.")] = Path("weights"),
    step: options.CheckpointStep = None,
    split: Annotated[bool, typer.Option("--split", help="Write body, embeddings and head to three files.")] = False,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="Element type; float32 is exact.")
    ] = "float32",
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain export weights latest --out model
      tuitrain export weights RUN --step 2000 --dtype bfloat16 --out model
      tuitrain export weights RUN --split --out parts

    The weights of a checkpoint with config.json and tokenizer, in the Hugging Face layout of GPT-2, Llama or Qwen3.
    """
    directory = find_own_one(run, runs_dir)
    require_checkpoint(directory, "export")
    values = {"out": out, "dtype": dtype, "step": step, "split": split, "json": as_json}
    run_engine("export-weights", directory, values)
