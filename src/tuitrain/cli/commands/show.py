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
    usd_per_gpu_hour: options.UsdPerGpuHour = None,
    as_json: options.Json = False,
    no_plot: options.NoPlot = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain show latest
      tuitrain show latest --json
      tuitrain show latest --usd-per-gpu-hour 2.10
      tuitrain show lightning_logs/version_0
      tuitrain show wandb/ --mapping
      tuitrain show node1:runs/RUN
      ssh node1 cat train.log | tuitrain show -

    Details of a run: newest values, summary, where its time went, differences from its preset, startup report.

    On a terminal a small chart of the loss is above them.
    A file or folder of another tool: each run in it.
    """
    runs = find_runs([run], runs_dir, maps, facts)
    if as_json:
        shown = [_as_json(each, usd_per_gpu_hour) for each in runs]
        return print_json(shown if len(shown) > 1 else shown[0])
    for number, directory in enumerate(runs):
        if number:
            print()
        if mapping:
            _print_mapping(directory)
        else:
            _print(directory, usd_per_gpu_hour, plot=not no_plot and sys.stdout.isatty())
    return None


def _as_json(directory: RunDirectory, usd_per_gpu_hour: float | None) -> dict[str, Any]:
    from tuitrain.alerts import load_rules, watched_history
    from tuitrain.cli.run_view import full_json
    from tuitrain.cli.source_view import own_log_json, source_json
    from tuitrain.runs.snapshot import read_whole

    history = watched_history(load_rules())
    if directory.source is None:
        snapshot, history = read_whole(directory, history=history)
        return full_json(snapshot, history, usd_per_gpu_hour) | own_log_json(history)
    from tuitrain.readers.formats import BY_NAME
    from tuitrain.readers.inventory import CountingReader
    from tuitrain.runs.foreign import mapping_for

    reader = CountingReader(BY_NAME[directory.source.format].open(directory.source))
    values = full_json(*read_whole(directory, reader, history), usd_per_gpu_hour)
    return values | source_json(directory.source.format, reader.inventory(mapping_for(directory)))


def _print(directory: RunDirectory, usd_per_gpu_hour: float | None, plot: bool) -> None:
    from tuitrain.alerts import load_rules, watched_history
    from tuitrain.cli.charts import print_small_loss
    from tuitrain.cli.run_view import sections, status_line
    from tuitrain.runs.snapshot import read_whole

    snapshot, history = read_whole(directory, history=watched_history(load_rules()))
    print(status_line(snapshot))
    if plot:
        print()
        print_small_loss([(directory, history)])
    for title, rows in sections(snapshot, history, usd_per_gpu_hour).items():
        if rows:
            print(f"\n{title}")
            print_rows(rows)


def _print_mapping(directory: RunDirectory) -> None:
    from tuitrain.cli.source_view import mapping_rows
    from tuitrain.readers.formats import BY_NAME
    from tuitrain.readers.inventory import take_inventory
    from tuitrain.runs.foreign import mapping_for

    if directory.source is None:
        print(f"{directory.run_id} is a log of tuitrain: its metrics are ours.")
        return
    mapping = mapping_for(directory)
    take_inventory(BY_NAME[directory.source.format].open(directory.source), mapping)
    print(f"{directory.log}  {directory.source.format}")
    print_rows(mapping_rows(mapping))
