"""Layouts: named sets of panels in an order, each with a size."""

from __future__ import annotations

from collections.abc import Sequence

from tuitrain.plots.panels.catalog import PANELS

MOST_SIZE = 3
"""Most columns a panel takes."""
OWN = "own"
"""The layout that a user makes from another."""
SHIPPED: dict[str, tuple[str, ...]] = {
    "overview": ("loss", "mfu", "throughput", "memory", "grad_norm", "lr"),
    "training": ("loss:2", "perplexity", "accuracy", "lr", "grad_norm", "grad_stats", "update", "layers"),
    "performance": ("mfu", "throughput", "step_time", "memory", "ranks", "gpu_util"),
    "system": ("gpu_util", "gpu_power", "gpu_temp", "gpu_memory", "cpu", "ram"),
}

Sizes = dict[str, int]
"""The columns of each entry of a layout, in their order: a panel's id, a metric of one's own, a pattern of such."""
_KNOWN = frozenset(panel.id for panel in PANELS)


def parse(entries: Sequence[str]) -> tuple[Sizes, list[str]]:
    """Panels as settings and sessions name them, `loss`, `loss:2` or `reward/*`, and the entries that are not valid.

    What is no panel is a metric of one's own, whose name may hold a colon.
    """
    sizes, wrong = Sizes(), list[str]()
    for entry in entries:
        name, colon, size = entry.rpartition(":")
        if name and size in map(str, range(1, MOST_SIZE + 1)):
            sizes[name] = int(size)
        elif not entry.strip() or (colon and name in _KNOWN):
            wrong.append(entry)
        else:
            sizes[entry] = 1
    return sizes, wrong
