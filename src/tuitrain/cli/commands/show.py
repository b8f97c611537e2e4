"""`tuitrain show`."""

from __future__ import annotations

import sys

from tuitrain.cli import options
from tuitrain.cli.lookup import find_one
from tuitrain.cli.output import print_json, print_rows


def show(
    run: options.Run, as_json: options.Json = False, no_plot: options.NoPlot = False, runs_dir: options.RunsDir = None
) -> None:
    """\b
    Examples:
      tuitrain show latest
      tuitrain show latest --json

    Details of a run: newest values, summary, differences from its preset, startup report.

    On a terminal a small chart of the loss is above them.
    """
    # Imported here: `--help` does without.
    from tuitrain.cli.charts import print_small_loss
    from tuitrain.cli.run_view import full_json, sections, status_line
    from tuitrain.runs import load_history, read_snapshot
    from tuitrain.runs.snapshot import with_history

    directory = find_one(run, runs_dir)
    history = load_history(directory)
    snapshot = with_history(read_snapshot(directory), history)
    if as_json:
        return print_json(full_json(snapshot, history))
    print(status_line(snapshot))
    if not no_plot and sys.stdout.isatty():
        print()
        print_small_loss([(directory, history)])
    for title, rows in sections(snapshot, history).items():
        if rows:
            print(f"\n{title}")
            print_rows(rows)
    return None
