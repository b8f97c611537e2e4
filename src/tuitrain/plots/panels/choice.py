"""Which panels are shown of some runs: those of a layout and of metrics of one's own, or those of a search."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from tuitrain.analysis.own_metrics import own_metrics
from tuitrain.plots.model import HeatMap, Plot, TextTable
from tuitrain.plots.panels.builders import Panel
from tuitrain.plots.panels.catalog import PANELS, is_declared, own_panel, panel_of, recorded_metrics
from tuitrain.plots.request import PlotRequest

PanelSizes = dict[Panel, int]
"""Panels in their order, with the columns that each takes."""


def layout_panels(sizes: Mapping[str, int], request: PlotRequest) -> PanelSizes:
    """The panels of the entries of a layout, with the columns of each.

    An entry that is neither a panel nor a declared metric is one of one's own, or all whose names match it as a shell
    pattern. Where no log has any, its panel says so.
    """
    others = not all(map(is_declared, sizes))
    own = {own_panel(name).id: name for name in own_metrics(run.history for run in request.runs)} if others else {}
    panels: PanelSizes = {}
    for entry, size in sizes.items():
        if is_declared(entry):
            panels[panel_of(entry)] = size
            continue
        names = [own[entry]] if entry in own else [name for name in own.values() if fnmatchcase(name, entry)]
        for name in names or [entry]:
            panels.setdefault(own_panel(name), size)
    return panels


def with_own(panels: Mapping[Panel, int], request: PlotRequest) -> PanelSizes:
    """The panels of a layout, then those of the metrics of one's own, by groups.

    Where a log has such metrics, or is of another tool, panels without data are replaced by others of which it has
    a metric, unless they are of metrics of one's own.
    """
    if not has_others(request):
        return dict(panels)
    kept = {panel: size for panel, size in panels.items() if panel.own or has_data(panel, request)}
    spare = spare_panels({panel.id for panel in panels}, request)
    kept |= dict.fromkeys([panel for panel in spare if not panel.own][: len(panels) - len(kept)], 1)
    return (kept | {panel: 1 for panel in spare if panel.own and panel not in kept}) or dict(panels)


def has_others(request: PlotRequest) -> bool:
    """Whether a log is of another tool or has metrics of one's own, so that other panels may show more."""
    others = any(run.directory is not None and run.directory.source is not None for run in request.runs)
    return others or bool(own_metrics(run.history for run in request.runs))


def spare_panels(known: Container[str], request: PlotRequest) -> list[Panel]:
    """The panels beside known ids of which a log has a metric, then those of the metrics of one's own."""
    recorded = frozenset(recorded_metrics(run.history for run in request.runs))
    own = [own_panel(name) for name in own_metrics(run.history for run in request.runs)]
    return [*(panel for panel in PANELS if panel.id not in known and _is_recorded(panel, recorded)), *own]


def found(words: str, request: PlotRequest) -> PanelSizes:
    """Every panel with data that has all of these words in its name or in that of a metric that it shows."""
    wanted = words.casefold().split()
    own = [own_panel(name) for name in own_metrics(run.history for run in request.runs)]
    matching = (panel for panel in (*PANELS, *own) if all(word in _names(panel) for word in wanted))
    return {panel: 1 for panel in matching if panel.own or has_data(panel, request)}


def has_data(panel: Panel, request: PlotRequest) -> bool:
    """Whether the panel shows anything of these runs, over the steps."""
    return with_data(panel.build(replace(request, x="step")))


def with_data(content: Plot | HeatMap | TextTable) -> bool:
    """Whether there is anything to show."""
    if isinstance(content, TextTable):
        return bool(content.rows)
    return bool(len(content.x)) if isinstance(content, HeatMap) else content.has_data


def _is_recorded(panel: Panel, recorded: frozenset[str]) -> bool:
    """Whether a log has a metric of the panel. The use of the machine is left to a layout that asks for it."""
    return any(metric.key in recorded and metric.source in ("step", "eval") for metric in panel.metrics)


def _names(panel: Panel) -> str:
    names = (panel.id, panel.title, *(name for metric in panel.metrics for name in (metric.key, metric.title)))
    return "\n".join(names).casefold()
