"""What a shell offers while a command is typed. Nothing slow is imported for it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import redirect_stdout

import typer

PLOT_PANELS = (
    "loss", "lr", "tokens", "mfu", "throughput", "memory", "val_loss", "perplexity", "accuracy", "step_time", "ranks",
    "grad_norm", "grad_stats", "update", "layers", "gpu_util", "gpu_power", "gpu_temp", "gpu_memory", "cpu", "ram",
)  # fmt: skip
"""Ids of the panels, which are not imported for their names alone: they take numpy."""

_BREAKS = ("=", ":")
"""Where bash breaks words."""


def complete_in_bash(answer: Callable[[], object]) -> None:
    """Let typer answer with whole words, and print what bash puts behind its last break in a word."""
    kept = _join_words()
    offered = io.StringIO()
    try:
        with redirect_stdout(offered):
            answer()
    finally:
        print(*(word.removeprefix(kept) for word in offered.getvalue().splitlines()), sep="\n")


def _join_words() -> str:
    """Make the words whole, in the variables that typer reads. Returns what of the last one bash keeps."""
    pieces, current = os.environ.get("COMP_WORDS", "").split(), int(os.environ.get("COMP_CWORD") or 0)
    if not any(piece in _BREAKS for piece in pieces):
        return ""
    words: list[str] = []
    current_word, kept = None, ""
    for number, piece in enumerate(pieces):
        goes_on = number > 1 and (piece in _BREAKS or pieces[number - 1] in _BREAKS)
        words[-1:] = [words[-1] + piece] if goes_on else [*words[-1:], piece]
        if number == current:
            current_word = len(words) - 1
            kept = words[-1] if piece in _BREAKS else words[-1].removesuffix(piece)
    os.environ["COMP_WORDS"] = " ".join(words)
    os.environ["COMP_CWORD"] = str(len(words) if current_word is None else current_word)
    return kept


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the runs that begin so, newest first."""
    from tuitrain.runs import list_runs, runs_directory

    runs = list_runs(runs_directory(ctx.params.get("runs_dir")))
    return [name for name in [*(run.run_id for run in runs), "latest"] if name.startswith(incomplete)]


def complete_tag(ctx: typer.Context, incomplete: str) -> list[str]:
    """Tags of the runs that are there."""
    from tuitrain.runs import list_runs, runs_directory

    infos = [run.read_metadata() for run in list_runs(runs_directory(ctx.params.get("runs_dir")))]
    return sorted({tag for info in infos if info for tag in info.tags if tag.startswith(incomplete)})


def complete_preset(incomplete: str) -> list[str]:
    """Names and aliases of the presets that begin so."""
    from tuitrain.config import all_presets

    presets = all_presets().values()
    names = [preset.name for preset in presets] + [alias for preset in presets for alias in preset.aliases]
    return sorted(name for name in names if name.startswith(incomplete))


def complete_override(incomplete: str) -> list[str]:
    """Keys of the configuration that begin so; behind a key and `=` its values."""
    from tuitrain.config import RunConfig, known_keys

    key, equals, _ = incomplete.partition("=")
    if equals:
        candidates = [f"{key}={value}" for value in _values_of(key)]
    else:
        candidates = [f"{name}=" for name in known_keys(RunConfig)]
    return [candidate for candidate in candidates if candidate.startswith(incomplete)]


def _values_of(key: str) -> list[str]:
    """What a key of the configuration may be, where that is one of a few words."""
    from typing import get_args

    from tuitrain.config import RunConfig
    from tuitrain.config.errors import field_at
    from tuitrain.config.run_config import optional

    if key in ("data.source", "data.tokenizer", "preset"):
        values = {"data.source": ["stdlib", "shakespeare", "bin:", "hf:"],
                 "data.tokenizer": ["byte", "char", "sentencepiece:", "hf:"]}  # fmt: skip
        return values.get(key, [])
    field = field_at(RunConfig, key.split("."))
    if field is None:
        return []
    words = [word for part in (field.annotation, *get_args(field.annotation)) for word in _words(part)]
    return list(dict.fromkeys([*words, *(["none"] if optional(key.split(".")) else [])]))


def _words(annotation: object) -> list[str]:
    from typing import Literal, get_args, get_origin

    if annotation is bool:
        return ["true", "false"]
    return [str(value) for value in get_args(annotation)] if get_origin(annotation) is Literal else []


def complete_query(ctx: typer.Context, incomplete: str) -> list[str]:
    """Terms of a query: keys, and behind `status:`, `tag:` and the like what the runs have."""
    from tuitrain.config import all_presets
    from tuitrain.runs.query import LIVE, NUMBERS, TEXTS
    from tuitrain.runs.status import Status

    negation = "-" * incomplete.startswith("-")
    key, colon, values = incomplete.removeprefix("-").partition(":")
    if not colon:
        terms = [f"{negation}{name}:" for name in TEXTS] + [f"{negation}{name}" for name in NUMBERS]
    else:
        before, comma, _ = values.rpartition(",")
        match key:
            case "status":
                words = [*Status, LIVE]
            case "tag":
                words = complete_tag(ctx, "")
            case "preset":
                words = list(all_presets())
            case "strategy":
                words = complete_strategy("")
            case _:
                words = []
        terms = [f"{negation}{key}:{before}{comma}{value}" for value in words]
    return [term for term in terms if term.startswith(incomplete)]


def complete_panel(incomplete: str) -> list[str]:
    """Panels of the figures; several with commas."""
    before, comma, _ = incomplete.rpartition(",")
    return [name for name in (f"{before}{comma}{panel}" for panel in PLOT_PANELS) if name.startswith(incomplete)]


def complete_metric(incomplete: str) -> list[str]:
    """Panels of the dashboard, and metrics of logs."""
    from tuitrain.analysis.metrics import METRICS

    names = dict.fromkeys([*PLOT_PANELS, *(metric.key for metric in METRICS)])
    return [name for name in names if name.startswith(incomplete)]


def complete_layout(incomplete: str) -> list[str]:
    """The layouts that come with tuitrain, and those of the settings files."""
    from tuitrain.runs.settings import SettingsError, settings_files
    from tuitrain.tui.layouts import SHIPPED

    names = dict.fromkeys(SHIPPED)
    try:
        tables = [file.values.get("tui", {}) for file in settings_files()]
    except SettingsError:
        tables = []
    for table in tables:
        own = table.get("layouts") if isinstance(table, dict) else None
        names |= dict.fromkeys(own if isinstance(own, dict) else ())
    return [name for name in names if name.startswith(incomplete)]


def complete_gpu(incomplete: str) -> list[str]:
    """GPUs by name, from their table."""
    from tuitrain.accounting import GPUS

    return [gpu.name for gpu in GPUS if gpu.name.lower().startswith(incomplete.lower())]


def complete_theme(incomplete: str) -> list[str]:
    """The themes that come with tuitrain."""
    from tuitrain.tui.settings import THEMES

    return [name for name in THEMES if name.startswith(incomplete)]


def complete_strategy(incomplete: str) -> list[str]:
    """Values of parallel.strategy."""
    from typing import get_args

    from tuitrain.config.sections import ParallelConfig

    names = get_args(ParallelConfig.model_fields["strategy"].annotation)
    return [name for name in names if name.startswith(incomplete)]
