"""JSON documents that compare runs of mlx-lm, and the final metrics of runs that such a comparison is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tuitrain.files import read_regular
from tuitrain.readers.document import MOST_BYTES, DocumentReader, read_json
from tuitrain.readers.json_tables import rows_of
from tuitrain.readers.model import Format, Item, Probe, Row, RunInfo, Source
from tuitrain.readers.settings import flattened, read_settings
from tuitrain.readers.table import numbers_of
from tuitrain.readers.text import as_float, unix_time

_AXIS = "iterations"
_FINAL = "final_iteration"
_SETTINGS = "adapter_config.json"
_MEANINGS = {
    "final_train_loss": "loss", "final_learning_rate": "lr", "peak_memory_gb": "mem_peak_gb",
    "total_trained_tokens": "tokens",
}  # fmt: skip
_IN_CURVES = ("final_train_loss", "final_val_loss", "final_tokens_per_sec")
"""Final metrics that are the last points of curves."""


def _runs(tree: Any) -> dict[str, dict[str, Any]]:
    """The runs in a document by name; of one with final metrics only, as if they stood in a comparison."""
    if not isinstance(tree, dict):
        return {}
    runs = tree.get("runs")
    if isinstance(runs, list):
        return {str(run["run_name"]): run for run in runs if isinstance(run, dict) and "run_name" in run}
    return {
        str(name): {"final_metrics": final}
        for name, final in tree.items()
        if isinstance(final, dict) and _FINAL in final
    }


def _contents(trees: Sequence[Any], info: RunInfo, source: Source) -> list[list[Item]]:
    run = _runs(trees[0]).get(source.key, {})
    settings = run.get("hyperparameters") or _settings(source, run)
    final = run.get("final_metrics") if isinstance(run.get("final_metrics"), dict) else {}
    metrics = run.get("training_metrics")
    parts = rows_of({"training_metrics": metrics}, info) if isinstance(metrics, Mapping) else []
    if isinstance(final, dict):
        parts = [*parts, *_final_row({key: final[key] for key in final if not parts or key not in _IN_CURVES})]
    info.axis = _AXIS
    info.meanings = _MEANINGS
    info.hyperparameters = flattened(settings) if isinstance(settings, Mapping) else {}
    iterations = info.hyperparameters.get("iters")
    info.total = as_float(iterations) if isinstance(iterations, int) else None
    info.started = unix_time(str(run["timestamp"])) if "timestamp" in run and not parts else None
    info.ending = "completed" if final else None
    return parts


def _final_row(final: Mapping[str, Any]) -> list[list[Item]]:
    """One row of final metrics."""
    values = numbers_of(final)
    x = values.pop(_FINAL, None)
    return [[Row(x, values)]] if x is not None and values else []


def _settings(source: Source, run: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run's adapter: in its folder, in one of its name beside the document, or beside it."""
    folder = source.path.parent
    folders = [Path(str(run["run_path"]))] if "run_path" in run else []
    for each in (*folders, folder / source.key, folder):
        if settings := read_settings(each / _SETTINGS):
            return settings
    return {}


def _sources(root: Path, files: Sequence[Path]) -> Iterable[Source]:
    for file in files:
        try:
            names = _runs(read_json(read_regular(file, MOST_BYTES)))
        except (OSError, ValueError):
            continue
        for name in names:
            yield Source("comparison-json", file, name, (file,), name)


def _matches(probe: Probe) -> bool:
    head = probe.head
    if probe.first != b"{":
        return False
    comparison = all(each in head for each in (b'"runs"', b'"run_name"', b'"hyperparameters"'))
    return comparison or b'"final_iteration"' in head


def _open(source: Source) -> DocumentReader:
    return DocumentReader([source.path], source.name, partial(_contents, source=source))


FORMAT = Format(
    "comparison-json", "Comparison and run-metrics JSON of mlx-lm fine-tuning",
    "tuitrain watch training_runs_comparison.json", _matches, _sources, _open,
    beside=(_SETTINGS, f"*/{_SETTINGS}"),
)  # fmt: skip
