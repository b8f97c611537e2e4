"""What a log holds, and which metrics of another tool are which of ours: as JSON and as rows."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tuitrain.analysis.own_metrics import own_metrics
from tuitrain.config import flatten
from tuitrain.readers.inventory import Inventory, SourceMetric
from tuitrain.readers.mapping import NameMapping

if TYPE_CHECKING:
    from tuitrain.runs import RunHistory
    from tuitrain.runs.columns import Columns


def own_log_json(history: RunHistory) -> dict[str, Any]:
    """The same of a log of ours: steps that were repeated count once; metrics of evaluations begin with the split."""
    own = set(own_metrics([history]))
    tables = {"": history.steps, **{f"{split}/": history.evals_of(split) for split in history.splits}}
    metrics = {
        f"{prefix}{name}": _own_metric(table, name, None if name in own else name)
        for prefix, table in tables.items()
        for name in table.keys
        if name != "step"
    }
    return {
        "format": "tuitrain",
        "axis": "step",
        "x_axis_declared": history.run.x_axes if history.run is not None and history.run.x_axes else {},
        "hyperparameters": flatten(history.run.config) if history.run is not None else {},
        "metrics": {name: _metric_json(metric) for name, metric in metrics.items()},
    }


def _own_metric(table: Columns, name: str, key: str | None) -> SourceMetric:
    rows, values = table.points(name)
    steps, finite = table["step"][rows], values[np.isfinite(values)]
    first_x, last_x, first, last = (float(each) for each in (steps[0], steps[-1], values[0], values[-1]))
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (math.nan, math.nan)
    return SourceMetric(key, len(values), first_x, last_x, first, last, low, high, len(values) - len(finite))


def source_json(format_name: str, inventory: Inventory) -> dict[str, Any]:
    """Format, axis, hyperparameters and metrics of a run of another tool."""
    return {
        "format": format_name,
        "axis": inventory.info.axis,
        "x_axis_declared": inventory.info.axes,
        "hyperparameters": inventory.info.hyperparameters,
        "metrics": {name: _metric_json(metric) for name, metric in inventory.metrics.items()},
    }


def _metric_json(metric: SourceMetric) -> dict[str, Any]:
    return {key: _as_tools_write(value) for key, value in asdict(metric).items()}


def _as_tools_write(value: Any) -> Any:
    """A value of a tool's metric; a number that JSON lacks under the name that JSON's writers give it."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def mapping_rows(mapping: NameMapping) -> list[tuple[str, str]]:
    """Each metric of another tool's log: which of ours it is and why, or that it keeps its name."""
    return [
        (name, f"{target.key}: {target.reason}" if target is not None else "shown under its own name")
        for name, target in mapping.targets.items()
    ]
