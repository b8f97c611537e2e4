"""`tuitrain show`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tuitrain.cli.options import JsonOption, NoPlotOption, RunArgument, RunsDirOption
from tuitrain.cli.output import print_json, print_rows

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory, RunHistory, RunSnapshot

MAX_UNREAD_SHOWN = 5


def show(
    run: RunArgument, as_json: JsonOption = False, no_plot: NoPlotOption = False, runs_dir: RunsDirOption = None
) -> None:
    """\b
    Examples:
      tuitrain show latest
      tuitrain show latest --json

    Everything about one run: what it is, its newest values, its summary, and how it differs from its preset.

    On a terminal with a small chart of its loss.
    """
    from tuitrain.analysis.description import memory_rows, startup_rows
    from tuitrain.cli.commands.status import status_line
    from tuitrain.runs import find_run, load_history, read_snapshot, runs_directory
    from tuitrain.runs.snapshot import with_history

    directory = find_run(run, runs_directory(runs_dir))
    history = load_history(directory)
    snapshot = with_history(read_snapshot(directory), history)
    if as_json:
        return print_json(full_json(snapshot, history))
    print(status_line(snapshot))
    if not no_plot and sys.stdout.isatty():
        from tuitrain.cli.charts import print_small_loss

        print()
        print_small_loss([(directory, history)])
    sections = {
        "run": [] if history.run is None else startup_rows(history.run),
        "newest values": _newest_values(history),
        "summary": _summary(history),
        "memory on each device": memory_rows(history),
        "evaluations": _evaluations(history),
        "differs from its preset": _differences(directory),
        "lines of the log that cannot be read": _unread_lines(history),
    }
    for title, rows in sections.items():
        if rows:
            print(f"\n{title}")
            print_rows(rows)
    return None


def _newest_values(history: RunHistory) -> list[tuple[str, str]]:
    from tuitrain.analysis.metrics import METRICS

    rows = [("step", f"{history.step:,}")] if history.step is not None else []
    for metric in METRICS:
        table = history.evals if metric.source == "eval" else history.steps
        if (value := table.last(metric.column)) is not None:
            rows.append((metric.title, metric.text(value)))
    return rows


def _summary(history: RunHistory) -> list[tuple[str, str]]:
    from tuitrain.analysis import units
    from tuitrain.analysis.metrics import SUMMARY_METRICS
    from tuitrain.analysis.summary import summarize

    summary = summarize(history)
    values = [(metric, getattr(summary, metric.key)) for metric in SUMMARY_METRICS]
    rows = [(metric.title, metric.text(value)) for metric, value in values if value is not None]
    return [*rows, *([] if summary.wall_time_s is None else [("wall time", units.duration(summary.wall_time_s))])]


def _evaluations(history: RunHistory) -> list[tuple[str, str]]:
    """Newest and best loss of each split, where there are others than `val`."""
    from tuitrain.analysis.metrics import NOT_AVAILABLE, metric
    from tuitrain.analysis.summary import split_outcomes

    def text(loss: float | None, step: int | None) -> str:
        return NOT_AVAILABLE if loss is None or step is None else f"{metric('val_loss').text(loss)} at step {step:,}"

    if history.splits in ([], ["val"]):
        return []
    return [
        (split, f"{text(each.final, each.final_step)}, best {text(each.best, each.best_step)}")
        for split, each in split_outcomes(history).items()
    ]


def _unread_lines(history: RunHistory) -> list[tuple[str, str]]:
    """The last lines that are not records, and why."""
    shown = history.broken[-MAX_UNREAD_SHOWN:]
    more = history.broken_count - len(shown)
    return [(f"line {line.number:,}", line.reason) for line in shown] + (
        [(f"{more:,} more", "before these")] if more else []
    )


def preset_difference(run: RunDirectory) -> dict[str, tuple[Any, Any]]:
    """Keys that were changed from the preset a run started from: the preset's value and the run's."""
    from tuitrain.analysis.description import changes_from_preset
    from tuitrain.config import load_config

    if not run.config.exists():
        return {}
    return changes_from_preset(load_config(str(run.config)).to_dict()) or {}


def _differences(run: RunDirectory) -> list[tuple[str, str]]:
    def text(value: Any) -> str:
        return "unset" if value is None else str(value)

    return [(key, f"{text(before)} → {text(after)}") for key, (before, after) in preset_difference(run).items()]


def full_json(snapshot: RunSnapshot, history: RunHistory) -> dict[str, Any]:
    """Everything about one run as plain values: what `show --json` prints. Unknown is null."""
    from dataclasses import asdict

    import msgspec

    from tuitrain.analysis.summary import split_outcomes, summarize
    from tuitrain.cli.commands.ls import run_json

    newest = {key: history.steps.last(key) for key in history.steps.keys if history.steps.has(key)}
    return run_json(snapshot) | {
        "run": msgspec.to_builtins(history.run),
        "newest": newest | {"step": history.step, "tokens": history.tokens},
        "summary": asdict(summarize(history)),
        "evaluations": {split: asdict(outcome) for split, outcome in split_outcomes(history).items()},
        "config_difference": preset_difference(snapshot.directory),
    }
