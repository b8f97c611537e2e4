"""`tuitrain compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuitrain.cli import options
from tuitrain.cli.completion import complete_grouping
from tuitrain.cli.lookup import find_compared
from tuitrain.cli.output import is_terminal, say_unread, text_area
from tuitrain.text import print_coloured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuitrain.analysis.compare import Comparison
    from tuitrain.analysis.points import Point
    from tuitrain.runs import RunDirectory, RunHistory


def compare(
    runs: options.Runs,
    x: options.X = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="KEY=VALUE",
                     help="Compare at this point instead of at the ends: tokens=1e9, step=500; `tokens` alone is the "
                          "farthest point that all reached. loss=2.5, val_loss=2.5, bits_per_byte=1: where each run "
                          "reached this loss."),
    ] = None,
    baseline: options.Baseline = None,
    group_by: Annotated[
        str | None,
        typer.Option(metavar="KEY", autocompletion=complete_grouping,
                     help="Group runs by the value of a configuration key, or by their tags (`tag`): mean ± standard "
                          "deviation of each group."),
    ] = None,
    usd_per_gpu_hour: options.UsdPerGpuHour = None,
    output_format: Annotated[
        Literal["table", "json", "markdown", "csv", "latex"] | None,
        typer.Option("--format", help="Print in this format instead of opening the compare screen."),
    ] = None,
    as_json: options.Json = False,
    no_plot: options.NoPlot = False,
    theme: options.Theme = None,
    refresh: options.Refresh = None,
    ascii_only: options.Ascii = None,
    readonly: options.Readonly = None,
    runs_dir: options.RunsDir = None,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain compare gpt2-tiny-2026 llama2-tiny-2026
      tuitrain compare RUN RUN RUN --baseline latest --x tokens
      tuitrain compare RUN RUN --at tokens=1e9 --format markdown
      tuitrain compare RUN RUN --at val_loss=2.5 --usd-per-gpu-hour 2.10
      tuitrain compare $(tuitrain ls -q tag:sweep) --group-by optim.lr

    Compare runs: final metrics, differences from a baseline, configuration keys that differ.

    On a terminal the compare screen opens. Elsewhere, or with --format or --at, a table is printed; on a terminal a
    small chart of the losses is above it.
    """
    # Imported here: `--help` does without.
    from tuitrain.cli.charts import print_small_loss
    from tuitrain.export.tables import render_comparison
    from tuitrain.runs import load_history, runs_directory

    compared, index = find_compared(runs, baseline, runs_dir)
    if output_format is None and not as_json and at is None and is_terminal():
        # Textual is imported only for the screen.
        from tuitrain.tui.app import run_app
        from tuitrain.tui.settings import load_settings

        settings = load_settings(
            {"x": x, "theme": theme, "refresh_s": refresh, "ascii": ascii_only, "readonly": readonly}
        )
        code = run_app("compare", compared, runs_directory(runs_dir), baseline=compared[index].run_id,
                       group_by=group_by or "", usd_per_gpu_hour=usd_per_gpu_hour, loaded=settings)  # fmt: skip
        raise typer.Exit(code)
    form = "json" if as_json else output_format or "table"
    pairs = [(run, load_history(run)) for run in compared]
    point = _point(at, [history for _, history in pairs])
    comparison = _comparison(pairs, index, point, group_by, usd_per_gpu_hour)
    if form == "csv":
        # The other forms name them in the verdict.
        say_unread((run.run_id, history) for run, history in pairs)
    if form == "table" and not no_plot and print_small_loss(pairs, x or "step", group_by or ""):
        print()
    width, color = text_area()
    text = render_comparison(comparison, form, width, color, [run.run_id for run in compared]).removesuffix("\n")
    (print_coloured if form == "table" else print)(text)


def _point(at: str | None, histories: Sequence[RunHistory]) -> Point | None:
    """The point that --at names. Raises BadParameter."""
    if at is None:
        return None
    from tuitrain.analysis.points import parse_point

    try:
        return parse_point(at, histories)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from None


def _comparison(
    runs: list[tuple[RunDirectory, RunHistory]],
    baseline: int,
    point: Point | None,
    group_by: str | None,
    usd_per_gpu_hour: float | None,
) -> Comparison:
    """The comparison of the runs, or of groups of them. Raises BadParameter for a key that no run has."""
    from tuitrain.analysis.compare import compare_runs, display_names
    from tuitrain.analysis.groups import Member, group_runs

    names = display_names(runs)
    if group_by is None:
        named = [(name, history) for name, (_, history) in zip(names, runs, strict=True)]
        return compare_runs(named, baseline=baseline, at=point, usd_per_gpu_hour=usd_per_gpu_hour)
    tags = [info.tags if info else () for info in (run.read_metadata() for run, _ in runs)]
    members = [Member(name, history, each) for name, (_, history), each in zip(names, runs, tags, strict=True)]
    try:
        return group_runs(members, group_by, baseline=baseline, at=point, usd_per_gpu_hour=usd_per_gpu_hour)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--group-by") from None
