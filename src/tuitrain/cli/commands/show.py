"""`tuitrain show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuitrain.cli.options import JsonOption, RunArgument, RunsDirOption
from tuitrain.cli.output import print_facts, print_json

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory, RunHistory


def show(run: RunArgument, as_json: JsonOption = False, runs_dir: RunsDirOption = None) -> None:
    """\b
    Examples:
      tuitrain show latest
      tuitrain show latest --json

    Everything about one run: what it is, its newest values, its summary, and how it differs from its preset.
    """
    from tuitrain.analysis.facts import startup_facts
    from tuitrain.cli.commands.status import status_line
    from tuitrain.runs import find_run, glance, load_history, runs_directory

    found = find_run(run, runs_directory(runs_dir))
    seen, history = glance(found), load_history(found)
    if as_json:
        return print_json(_as_json(found, history))
    print(status_line(seen))
    if history.run is not None:
        _section("run", startup_facts(history.run))
    _section("newest values", _newest(history))
    _section("summary", _summary(history))
    _section("differs from its preset", _from_preset(found))
    return None


def _section(title: str, facts: list[tuple[str, str]]) -> None:
    if facts:
        print(f"\n{title}")
        print_facts(facts)


def _newest(history: RunHistory) -> list[tuple[str, str]]:
    from tuitrain.analysis.metrics import METRICS

    facts = [("step", f"{history.step:,}")] if history.step is not None else []
    for metric in METRICS:
        column = "loss" if metric.key == "val_loss" else metric.key
        value = (history.evals if metric.source == "eval" else history.steps).last(column)
        if value is not None:
            facts.append((metric.title, metric.text(value)))
    return facts


def _summary(history: RunHistory) -> list[tuple[str, str]]:
    from tuitrain.analysis.metrics import SUMMARY_METRICS
    from tuitrain.analysis.summary import summarize

    summary = summarize(history)
    values = [(metric, getattr(summary, metric.key)) for metric in SUMMARY_METRICS]
    return [(metric.title, metric.text(value)) for metric, value in values if value is not None]


def preset_difference(run: RunDirectory) -> dict[str, tuple[Any, Any]]:
    """Keys that were changed from the preset a run started from: the preset's value and the run's."""
    from tuitrain.analysis.facts import changes_from_preset
    from tuitrain.config import load_config

    if not run.config.exists():
        return {}
    return changes_from_preset(load_config(str(run.config)).to_dict()) or {}


def _from_preset(run: RunDirectory) -> list[tuple[str, str]]:
    def text(value: Any) -> str:
        return "unset" if value is None else str(value)

    return [(key, f"{text(before)} → {text(after)}") for key, (before, after) in preset_difference(run).items()]


def _as_json(run: RunDirectory, history: RunHistory) -> dict[str, Any]:
    from dataclasses import asdict

    import msgspec

    from tuitrain.analysis.summary import summarize
    from tuitrain.cli.commands.ls import run_facts
    from tuitrain.runs import glance

    newest = {key: history.steps.last(key) for key in history.steps.keys if history.steps.has(key)}
    return run_facts(glance(run)) | {
        "run": msgspec.to_builtins(history.run),
        "newest": newest | {"step": history.step, "tokens": history.tokens},
        "summary": asdict(summarize(history)),
        "config_difference": preset_difference(run),
    }
