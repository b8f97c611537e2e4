"""`tuitrain show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuitrain.cli.options import JsonOption, RunArgument, RunsDirOption
from tuitrain.cli.output import UNKNOWN, print_facts, print_json

if TYPE_CHECKING:
    from tuitrain.events import Run
    from tuitrain.runs import RunDirectory, RunHistory


def show(run: RunArgument, as_json: JsonOption = False, runs_dir: RunsDirOption = None) -> None:
    """\b
    Examples:
      tuitrain show latest
      tuitrain show latest --json

    Everything about one run: what it is, its newest values, its summary, and how it differs from its preset.
    """
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


def startup_facts(run: Run) -> list[tuple[str, str]]:
    """What a run said of itself when it began."""
    from tuitrain.analysis import units

    shape, hardware, software = run.architecture, run.hardware, run.software
    facts: list[tuple[str, str | None]] = [
        ("architecture", shape.name if shape else None),
        ("parameters", f"{shape.params_total:,}" if shape and shape.params_total is not None else None),
        ("FLOPs per token", units.flop(run.flops_per_token) if run.flops_per_token is not None else None),
        ("tokens per step", f"{run.tokens_per_step:,}" if run.tokens_per_step is not None else None),
        ("steps", f"{run.total_steps:,}" if run.total_steps is not None else None),
        ("token budget", units.count(run.token_budget) if run.token_budget is not None else None),
        ("device", f"{hardware.count} × {hardware.device}" if hardware else None),
        ("peak", f"{hardware.peak_tflops:g} TFLOP/s" if hardware and hardware.peak_tflops is not None else None),
        ("arithmetic", run.dtype),
        ("attention", run.attention_backend),
        ("compiled", {True: "yes", False: "no", None: None}[run.compile]),
        ("strategy", run.parallel.strategy if run.parallel else None),
        ("torch", software.torch if software else None),
        ("commit", software.git_commit if software else None),
        ("attempt", str(run.attempt)),
    ]
    return [(name, UNKNOWN if text is None else text) for name, text in facts]


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
    from tuitrain.config import UnknownPresetError, difference, load_config

    if not run.config.exists():
        return {}
    config = load_config(str(run.config))
    if config.preset is None:
        return {}
    try:
        return difference(load_config(config.preset), config)
    except UnknownPresetError:
        return {}


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
