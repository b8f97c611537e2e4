"""The panels of charts: which metrics each shows, how a run's history becomes its plot, and the layouts of them."""

from tuitrain.tui.panels.catalog import COMPARE_PANELS, OVERVIEW, PANELS, panel_of
from tuitrain.tui.panels.layouts import Layout, Layouts
from tuitrain.tui.panels.limits import capacity_gb, clip_level
from tuitrain.tui.panels.parts import Panel

__all__ = [
    "COMPARE_PANELS",
    "OVERVIEW",
    "PANELS",
    "Layout",
    "Layouts",
    "Panel",
    "capacity_gb",
    "clip_level",
    "panel_of",
]
