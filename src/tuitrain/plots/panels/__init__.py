"""The panels of charts: which metrics each shows, how a run's history becomes its plot."""

from tuitrain.plots.panels.builders import Panel
from tuitrain.plots.panels.catalog import (
    COMPARE_PANELS,
    PANELS,
    find_panel,
    own_panel,
    panel_of,
    plot_of,
    recorded_metrics,
)
from tuitrain.plots.panels.machine import capacity_gb

__all__ = [
    "COMPARE_PANELS",
    "PANELS",
    "Panel",
    "capacity_gb",
    "find_panel",
    "own_panel",
    "panel_of",
    "plot_of",
    "recorded_metrics",
]
