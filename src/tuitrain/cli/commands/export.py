"""`tuitrain export`: figures and numbers as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuitrain.cli.options import JsonOption, OptionalRunsArgument, RunsDirOption
from tuitrain.cli.output import print_json

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

    Figures and numbers as files.
    """


@app.command("plots", short_help="The six-panel figure of each run, and the comparison of several.")
def plots(
    runs: OptionalRunsArgument = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the figures.")] = Path("figures"),
    formats: Annotated[str, typer.Option("--format", help="png, pdf, svg; several with commas.")] = "png",
    dpi: Annotated[int, typer.Option(min=30, max=1200, help="Resolution of png.")] = 200,
    style: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A matplotlib style sheet.", show_default=False)
    ] = None,
    x: Annotated[Literal["step", "tokens", "time"], typer.Option("--x", help="What the x axis shows.")] = "step",
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain export plots latest
      tuitrain export plots RUN RUN --format png,pdf --out figures
      tuitrain export plots                       every run there is

    The six-panel analysis figure of each run and, with several, the comparison figure.
    """
    from tuitrain.export.figures import export_plots
    from tuitrain.runs import find_run, list_runs, load_history, runs_directory

    where = runs_directory(runs_dir)
    chosen = [find_run(name, where) for name in runs] if runs else _with_steps(list_runs(where), where)
    pairs = [(run, load_history(run)) for run in chosen]
    paths = export_plots(pairs, out, _formats(formats), dpi, style, x=x)
    _print_paths(paths, as_json)


def _with_steps(runs: list[RunDirectory], where: Path) -> list[RunDirectory]:
    from tuitrain.launch import LaunchError
    from tuitrain.runs import glance

    trained = [run for run in runs if glance(run).step is not None]
    if not trained:
        raise LaunchError(f"There are no runs with steps in {where}.", exit_code=3)
    return trained


def _formats(text: str) -> tuple[str, ...]:
    known = ("png", "pdf", "svg")
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
