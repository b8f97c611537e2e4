"""`tuitrain show`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import msgspec

from tuitrain.analysis import units
from tuitrain.analysis.description import changes_from_preset
from tuitrain.analysis.metrics import METRICS, SUMMARY_METRICS, metric
from tuitrain.analysis.report import describe
from tuitrain.analysis.summary import split_outcomes, summarize
from tuitrain.cli.charts import print_small_loss
from tuitrain.cli.commands.ls import run_json
from tuitrain.cli.commands.status import status_line
from tuitrain.cli.lookup import find_one
from tuitrain.cli.options import JsonOption, NoPlotOption, RunArgument, RunsDirOption
from tuitrain.cli.output import print_json, print_rows
from tuitrain.config import load_config
from tuitrain.runs import RunDirectory, RunHistory, RunSnapshot, load_history, read_snapshot
from tuitrain.runs.snapshot import with_history

MAX_UNREAD_SHOWN = 5


def show(
    run: RunArgument, as_json: JsonOption = False, no_plot: NoPlotOption = False, runs_dir: RunsDirOption = None
) -> None:
    """\b
    Examples:
      tuitrain show latest
      tuitrain show latest --json

    Everything about one run: its newest values, its summary, how it differs from its preset, and what it is.

    On a terminal with a small chart of its loss.
    """
    directory = find_one(run, runs_dir)
    history = load_history(directory)
    snapshot = with_history(read_snapshot(directory), history)
    if as_json:
        return print_json(full_json(snapshot, history))
    print(status_line(snapshot))
    if not no_plot and sys.stdout.isatty():
        print()
        print_small_loss([(directory, history)])
    sections = {
        "newest values": _newest_values(history),
        "summary": _summary(history),
        "evaluations": _evaluations(history),
        "differs from its preset": _differences(directory),
        **dict(describe(history, snapshot.info).report),
        "lines of the log that cannot be read": _unread_lines(history),
    }
    for title, rows in sections.items():
        if rows:
            print(f"\n{title}")
            print_rows(rows)
    return None


def _newest_values(history: RunHistory) -> list[tuple[str, str]]:
    rows = [("step", f"{history.step:,}")] if history.step is not None else []
    for each in METRICS:
        table = history.evals if each.source == "eval" else history.steps
        if (value := table.last(each.column)) is not None:
            rows.append((each.title, each.text(value)))
    return rows


def _summary(history: RunHistory) -> list[tuple[str, str]]:
    summary = summarize(history)
    values = [(metric, getattr(summary, metric.key)) for metric in SUMMARY_METRICS]
    rows = [(metric.title, metric.text(value)) for metric, value in values if value is not None]
    return [*rows, *([] if summary.wall_time_s is None else [("wall time", units.duration(summary.wall_time_s))])]


def _evaluations(history: RunHistory) -> list[tuple[str, str]]:
    """Newest and best loss of each split, where there are others than `val`."""

    def text(loss: float | None, step: int | None) -> str:
        return units.UNKNOWN if loss is None or step is None else f"{metric('val_loss').text(loss)} at step {step:,}"

    if history.splits in ([], ["val"]):
        return []
    return [
        (split, f"{text(each.final, each.final_step)}, best {text(each.best, each.best_step)}")
        for split, each in split_outcomes(history).items()
    ]


def _unread_lines(history: RunHistory) -> list[tuple[str, str]]:
    """The last lines that are not records, and why."""
    shown = history.broken[-MAX_UNREAD_SHOWN:]
    rows = [(f"line {line.number:,}", line.reason) for line in shown]
    more = history.broken_count - len(shown)
    return [*rows, (f"{more:,} more", "before these")] if more else rows


def preset_difference(run: RunDirectory) -> dict[str, tuple[Any, Any]]:
    """Keys that were changed from the preset a run started from: the preset's value and the run's."""
    if not run.config.exists():
        return {}
    return changes_from_preset(load_config(str(run.config)).to_dict()) or {}


def _differences(run: RunDirectory) -> list[tuple[str, str]]:
    changes = preset_difference(run).items()
    return [(key, f"{units.config_value(before)} → {units.config_value(after)}") for key, (before, after) in changes]


def full_json(snapshot: RunSnapshot, history: RunHistory) -> dict[str, Any]:
    """Everything about one run as plain values: what `show --json` prints. Unknown is null."""
    newest = {key: history.steps.last(key) for key in history.steps.keys if history.steps.has(key)}
    return run_json(snapshot) | {
        "run": msgspec.to_builtins(history.run),
        "newest": newest | {"step": history.step, "tokens": history.tokens},
        "summary": asdict(summarize(history)),
        "evaluations": {split: asdict(outcome) for split, outcome in split_outcomes(history).items()},
        "config_difference": preset_difference(snapshot.directory),
    }
