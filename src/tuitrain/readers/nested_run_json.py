"""A JSON document a run: `startup_info`, `training_iterations`, `eval_results` and, at the end, `summary`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tuitrain.readers.document import DocumentReader
from tuitrain.readers.model import Format, Item, Probe, RunInfo
from tuitrain.readers.settings import flattened
from tuitrain.readers.table import Records, file_sources
from tuitrain.readers.text import as_float, unix_time

_MEANINGS = {
    "time_ms": "step_time_ms", "mfu.mfu_percent": "mfu*0.01", "mfu.achieved_tflops": "tflops",
    "mfu.tokens_per_sec": "tokens_per_sec", "memory.allocated_gb": "mem_allocated_gb", "memory.peak_gb": "mem_peak_gb",
    "memory.reserved_gb": "mem_reserved_gb", "gradients.global_norm": "grad_norm", "gradients.grad_mean": "grad_mean",
    "gradients.grad_std": "grad_std", "eval_results.val_loss": "val_loss", "eval_results.train_loss": "eval/train/loss",
}  # fmt: skip


def _contents(trees: Sequence[Any], info: RunInfo) -> list[list[Item]]:
    tree = trees[0] if isinstance(trees[0], dict) else {}
    startup = tree.get("startup_info")
    startup = startup if isinstance(startup, dict) else {}
    info.axis, info.meanings = "iter", _MEANINGS
    info.hyperparameters = flattened({"startup_info": startup})
    timestamp, last = startup.get("timestamp"), info.hyperparameters.get("startup_info.config.max_iters")
    info.started = unix_time(str(timestamp)) if timestamp is not None else None
    info.total = as_float(last) if isinstance(last, int | float) else None
    info.ending = "completed" if tree.get("summary") else "interrupted"
    return [_rows(tree.get("training_iterations"), ""), _rows(tree.get("eval_results"), "eval_results.")]


def _rows(records: Any, prefix: str) -> list[Item]:
    """The rows of a list of records. A record without a position is left out."""
    reader = Records(axis="iter")
    rows: list[Item] = []
    for record in records if isinstance(records, list) else []:
        try:
            row = reader.row(record if isinstance(record, dict) else {})
        except ValueError:
            continue
        row.values = {f"{prefix}{name}": value for name, value in row.values.items()}
        rows.append(row)
    return rows


def _matches(probe: Probe) -> bool:
    return probe.first == b"{" and b'"training_iterations"' in probe.head


FORMAT = Format(
    "nested-run-json", "Run JSON with training_iterations and eval_results", "tuitrain watch out/run_20250103.json",
    _matches, partial(file_sources, "nested-run-json"),
    lambda source: DocumentReader([source.path], source.name, _contents),
)  # fmt: skip
