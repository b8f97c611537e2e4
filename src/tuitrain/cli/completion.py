"""Completions that a shell offers. Typer keeps those that begin with the incomplete word.

Modules are imported in the functions: every command imports this one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import pairwise

import typer

_BREAKS = ("=", ":")
"""Characters at which bash breaks words."""


def complete_in_bash(answer: Callable[[], object]) -> None:
    """Let typer complete whole words, and print the part after the last break in the word."""
    kept = _join_words()
    offered = io.StringIO()
    try:
        with redirect_stdout(offered):
            answer()
    finally:
        print(*(word.removeprefix(kept) for word in offered.getvalue().splitlines()), sep="\n")


def _join_words() -> str:
    """Join broken words, up to the current one, in the variables that typer reads; returns its part that bash keeps."""
    pieces, current = os.environ.get("COMP_WORDS", "").split(), int(os.environ.get("COMP_CWORD") or 0)
    words = pieces[1:2]
    for before, piece in pairwise(pieces[1 : current + 1]):
        words[-1:] = [words[-1] + piece] if piece in _BREAKS or before in _BREAKS else [words[-1], piece]
    is_new = current >= len(pieces)
    os.environ["COMP_WORDS"] = " ".join([*pieces[:1], *words])
    os.environ["COMP_CWORD"] = str(len(words) + is_new)
    if is_new or not words:
        return ""
    return words[-1] if pieces[current] in _BREAKS else words[-1].removesuffix(pieces[current])


def complete_run(ctx: typer.Context) -> list[str]:
    """Ids of the runs, newest first."""
    from tuitrain.runs import list_runs, runs_directory

    return [*(run.run_id for run in list_runs(runs_directory(ctx.params.get("runs_dir")))), "latest"]


def complete_tag(ctx: typer.Context) -> list[str]:
    """Tags of the runs."""
    from tuitrain.runs import list_runs, runs_directory

    infos = [run.read_metadata() for run in list_runs(runs_directory(ctx.params.get("runs_dir")))]
    return sorted({tag for info in infos if info for tag in info.tags})


def complete_preset() -> list[str]:
    """Names and aliases of the presets."""
    from tuitrain.config import all_presets

    return sorted(name for preset in all_presets().values() for name in (preset.name, *preset.aliases))


def complete_override(incomplete: str) -> list[str]:
    """Keys of the configuration; after a key and `=` its values."""
    from tuitrain.config import RunConfig, known_keys

    key, equals, _ = incomplete.partition("=")
    return [f"{key}={value}" for value in _values_of(key)] if equals else [f"{name}=" for name in known_keys(RunConfig)]


def _values_of(key: str) -> list[str]:
    """The values of a key of the configuration that takes only some."""
    from types import NoneType

    from tuitrain.config import RunConfig
    from tuitrain.config.keys import accepts, field_at, words

    match key:
        case "data.source":
            return ["stdlib", "shakespeare", "bin:", "hf:"]
        case "data.tokenizer":
            return ["byte", "char", "sentencepiece:", "hf:"]
    field = field_at(RunConfig, key) if key != "preset" else None
    if field is None:
        return []
    return [*words(field.annotation), *(["none"] if accepts(RunConfig, key, NoneType) else [])]


def complete_grouping() -> list[str]:
    """Keys that runs can be grouped by."""
    from tuitrain.config import RunConfig, known_keys

    return ["tag", *known_keys(RunConfig)]


def complete_query(ctx: typer.Context, incomplete: str) -> list[str]:
    """Terms of a query: keys, and after `status:`, `tag:` and others their values."""
    from tuitrain.config import all_presets
    from tuitrain.runs.query import LIVE, NUMBERS, TEXTS
    from tuitrain.runs.status import Status

    negation = "-" * incomplete.startswith("-")
    key, colon, values = incomplete.removeprefix("-").partition(":")
    if not colon:
        return [f"{negation}{name}:" for name in TEXTS] + [f"{negation}{name}" for name in NUMBERS]
    before, comma, _ = values.rpartition(",")
    match key:
        case "status":
            words = [*Status, LIVE]
        case "tag":
            words = complete_tag(ctx)
        case "preset":
            words = list(all_presets())
        case "strategy":
            words = complete_strategy()
        case _:
            words = []
    return [f"{negation}{key}:{before}{comma}{word}" for word in words]


def complete_sort() -> list[str]:
    """Keys that runs can be sorted by."""
    from tuitrain.runs.order import SORT_KEYS

    return list(SORT_KEYS)


def complete_figure(ctx: typer.Context) -> list[str]:
    """Figures, panels, and metrics of one's own that the named runs have."""
    from tuitrain.plots.figures import figure_names

    return [*figure_names(), *_own_metrics(ctx)]


def complete_metric(ctx: typer.Context) -> list[str]:
    """Panels of the dashboard, metrics of logs, and those of one's own that the named runs have."""
    from tuitrain.analysis.metrics import METRICS
    from tuitrain.plots.panels import PANELS

    declared = [*(panel.id for panel in PANELS), *(metric.key for metric in METRICS)]
    return list(dict.fromkeys([*declared, *_own_metrics(ctx)]))


def _own_metrics(ctx: typer.Context) -> list[str]:
    """Metrics of one's own at the ends of the logs of the runs on the command line."""
    from tuitrain.analysis.own_metrics import own_metrics
    from tuitrain.runs import RunNotFoundError, find_runs, load_history, runs_directory
    from tuitrain.runs.log_ends import LogEnds, read_log_ends

    histories = []
    # Behind an option that has no value yet, the runs are not parsed.
    for name in ctx.params.get("runs") or ctx.args:
        try:
            found = find_runs(name, runs_directory(ctx.params.get("runs_dir")))
        except (RunNotFoundError, OSError):
            continue
        for run in found:
            if run.source is None:
                ends = read_log_ends(run.metrics, LogEnds(), None)
                histories += [ends.head, ends.tail]
            else:
                histories.append(load_history(run))
    # A shell would obey what is not printable.
    return [name for name in own_metrics(histories) if name.isprintable()]


def complete_layout() -> list[str]:
    """The layouts that come with tuitrain, and those of the settings files."""
    from tuitrain.plots.panels.layouts import SHIPPED
    from tuitrain.settings import SettingsError
    from tuitrain.tui.settings import load_settings

    try:
        return list(dict.fromkeys([*SHIPPED, *load_settings().settings.layouts]))
    except SettingsError:
        return list(SHIPPED)


def complete_gpu() -> list[str]:
    """GPUs by name, from their table."""
    from tuitrain.accounting import GPUS

    return [gpu.name for gpu in GPUS]


def complete_theme() -> list[str]:
    """The themes that come with tuitrain."""
    from tuitrain.tui.settings import THEMES

    return list(THEMES)


def complete_strategy() -> list[str]:
    """Values of parallel.strategy."""
    return _values_of("parallel.strategy")
