"""`tuitrain show`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_runs
from tuitrain.cli.output import print_json, print_rows

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory


def show(
    run: options.Run,
    mapping: Annotated[
        bool, typer.Option("--mapping", help="Which of our metrics each metric of another tool's log is, and why.")
    ] = False,
    maps: options.Map = None,
    facts: options.Set = None,
    as_json: options.Json = False,
    no_plot: options.NoPlot = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain show latest
      tuitrain show latest --json
      tuitrain show lightning_logs/version_0
      tuitrain show wandb/ --mapping

    Details of a run: newest values, summary, differences from its preset, startup report.

    On a terminal a small chart of the loss is above them.
    A file or folder of another tool: each run in it.
    """
    runs = find_runs([run], runs_dir, maps, facts)
    if as_json:
        shown = [_as_json(each) for each in runs]
        return print_json(shown if len(shown) > 1 else shown[0])
    for number, directory in enumerate(runs):
        if number:
            print()
        _print(directory, mapping, plot=not no_plot and sys.stdout.isatty())
    return None


def _as_json(directory: RunDirectory) -> dict[str, Any]:
    from tuitrain.cli.run_view import full_json
    from tuitrain.cli.source_view import source_json
    from tuitrain.runs import load_history, read_snapshot
    from tuitrain.runs.snapshot import with_history

    history = load_history(directory)
    return full_json(with_history(read_snapshot(directory), history), history) | source_json(directory)


def _print(directory: RunDirectory, mapping: bool, plot: bool) -> None:
    from tuitrain.cli.charts import print_small_loss
    from tuitrain.cli.run_view import sections, status_line
    from tuitrain.cli.source_view import mapping_rows
    from tuitrain.runs import load_history, read_snapshot
    from tuitrain.runs.snapshot import with_history

    history = load_history(directory)
    snapshot = with_history(read_snapshot(directory), history)
    print(status_line(snapshot))
    if mapping:
        print_rows(mapping_rows(directory))
        return
    if plot:
        print()
        print_small_loss([(directory, history)])
    for title, rows in sections(snapshot, history).items():
        if rows:
            print(f"\n{title}")
            print_rows(rows)
