"""`tuitrain compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuitrain.cli.completion import complete_run
from tuitrain.cli.options import (
    RUN_HELP,
    AsciiOption,
    JsonOption,
    NoPlotOption,
    ReadonlyOption,
    RefreshOption,
    RunsArgument,
    RunsDirOption,
    ThemeOption,
    XOption,
)
from tuitrain.cli.output import is_terminal, say_unread, text_area

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory, RunHistory


def _complete_key(incomplete: str) -> list[str]:
    from tuitrain.config import RunConfig, known_keys

    return [key for key in ["tag", *known_keys(RunConfig)] if key.startswith(incomplete)]


def compare(
    runs: RunsArgument,
    x: XOption = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="KEY=VALUE", help="Compare at this point instead of the end: tokens=1e9, step=500."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="RUN", help=f"Differences are to this run. Default: the first. {RUN_HELP}",
                     autocompletion=complete_run),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option("--group-by", metavar="KEY",
                     help="Take runs with the same value of a configuration key, or the same tags (`tag`), as one: "
                          "mean ± standard deviation.", autocompletion=_complete_key),
    ] = None,
    output_format: Annotated[
        Literal["table", "json", "markdown", "csv"] | None,
        typer.Option("--format", help="Print this instead of opening the compare screen."),
    ] = None,
    as_json: JsonOption = False,
    no_plot: NoPlotOption = False,
    theme: ThemeOption = None,
    refresh: RefreshOption = None,
    ascii_only: AsciiOption = None,
    readonly: ReadonlyOption = None,
    runs_dir: RunsDirOption = None,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain compare gpt2-tiny-2026 llama2-tiny-2026
      tuitrain compare RUN RUN RUN --baseline latest --x tokens
      tuitrain compare RUN RUN --at tokens=1e9 --format markdown
      tuitrain compare $(tuitrain ls -q tag:sweep) --group-by optim.lr

    Runs side by side: final metrics, differences to a baseline, configuration keys that differ.

    On a terminal the compare screen opens; elsewhere, or with --format or --at, a table is printed, on a terminal below
    a small chart of the losses.
    """
    from tuitrain.events.text import print_coloured
    from tuitrain.runs import find_run, runs_directory

    directory = runs_directory(runs_dir)
    compared = [find_run(name, directory) for name in runs]
    reference = compared[0] if baseline is None else find_run(baseline, directory)
    if all(run.path != reference.path for run in compared):
        compared.insert(0, reference)
    point = _point(at)
    if output_format is None and not as_json and point is None and is_terminal():
        from tuitrain.tui.app import run_app
        from tuitrain.tui.settings import load_settings

        flags = {"x": x, "theme": theme, "refresh_s": refresh, "ascii": ascii_only, "readonly": readonly}
        settings = load_settings(flags)
        raise typer.Exit(
            run_app("compare", compared, directory, baseline=reference.run_id, group_by=group_by or "", loaded=settings)
        )
    form = "json" if as_json else output_format or "table"
    text, pairs = _rendered(compared, reference, point, group_by, form)
    if form == "csv":
        # The other forms say it themselves.
        say_unread((run.run_id, history) for run, history in pairs)
    if form == "table" and not no_plot:
        from tuitrain.cli.charts import print_small_loss

        if print_small_loss(pairs, x or "step", group_by or ""):
            print()
    (print_coloured if form == "table" else print)(text)


def _point(at: str | None) -> tuple[str, float] | None:
    """`tokens=1e9` as axis and value; the value may be a count such as 300M. Raises BadParameter."""
    if at is None:
        return None
    from tuitrain.analysis.series import AXES
    from tuitrain.config.numbers import parse_count

    key, _, text = at.partition("=")
    try:
        value = float(str(parse_count(text)))
    except ValueError:
        value = float("nan")
    if key not in AXES or not value >= 0:
        raise typer.BadParameter(
            f"{at!r} is not valid: write KEY=NUMBER with one of {', '.join(AXES)} as KEY, such as tokens=300M.",
            param_hint="--at",
        )
    return key, value


def _require_reached(point: tuple[str, float], histories: list[RunHistory]) -> None:
    """Raise BadParameter when no run has reached this point."""
    from tuitrain.analysis.compare import as_axis
    from tuitrain.analysis.series import x_values

    axis, value = point
    ends = [float(positions[-1]) for positions in (x_values(h, as_axis(axis)) for h in histories) if len(positions)]
    if max(ends, default=0.0) < value:
        raise typer.BadParameter(
            f"no run has reached {axis} = {value:g}; the farthest is at {max(ends, default=0.0):g}.", param_hint="--at"
        )


def _rendered(
    runs: list[RunDirectory], reference: RunDirectory, point: tuple[str, float] | None, group_by: str | None, form: str
) -> tuple[str, list[tuple[RunDirectory, RunHistory]]]:
    """The comparison in this form, and the runs with their logs."""
    from tuitrain.analysis.compare import as_axis, compare_runs, display_names
    from tuitrain.analysis.groups import Member, group_runs
    from tuitrain.export.tables import render_comparison
    from tuitrain.runs import load_histories

    pairs = list(zip(runs, load_histories(runs), strict=True))
    named = [(name, history) for name, (_, history) in zip(display_names(pairs), pairs, strict=True)]
    baseline = next(index for index, run in enumerate(runs) if run.path == reference.path)
    if point is not None:
        _require_reached(point, [history for _, history in named])
    if group_by is None:
        comparison = compare_runs(named, baseline=baseline, at=point)
    else:
        infos = [run.read_metadata() for run in runs]
        members = [
            Member(name, history, info.tags if info else ()) for (name, history), info in zip(named, infos, strict=True)
        ]
        try:
            at = None if point is None else (as_axis(point[0]), point[1])
            comparison = group_runs(members, group_by, baseline=baseline, at=at)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--group-by") from None
    width, color = text_area()
    return render_comparison(comparison, form, width, color, [run.run_id for run in runs]).removesuffix("\n"), pairs
