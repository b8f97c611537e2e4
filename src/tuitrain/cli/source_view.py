"""What the log of another tool holds, and which of its metrics are which of ours: as JSON and as rows."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from tuitrain.readers.inventory import Inventory
from tuitrain.readers.mapping import NameMapping


def source_json(format_name: str, inventory: Inventory) -> dict[str, Any]:
    """Format, axis, hyperparameters and metrics of a run of another tool."""
    return {
        "format": format_name,
        "axis": inventory.info.axis,
        "x_axis_declared": inventory.info.axes,
        "hyperparameters": inventory.info.hyperparameters,
        "metrics": {
            name: {key: _as_tools_write(value) for key, value in asdict(metric).items()}
            for name, metric in inventory.metrics.items()
        },
    }


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
