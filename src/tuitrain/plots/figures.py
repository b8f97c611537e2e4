"""The registry of figures: which panels each has. Any panel or metric is a figure of its own as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuitrain.plots.panels import PANELS, find_panel, panel_of
from tuitrain.plots.panels.choice import has_others, spare_panels, with_data
from tuitrain.plots.panels.figures import FIGURE_PANELS, Content
from tuitrain.plots.request import PlotRequest
from tuitrain.runs import RunHistory


@dataclass(frozen=True)
class FigureKind:
    """A figure of some panels in their order. together: it shows all runs at once and is for two or more."""

    name: str
    description: str
    panels: tuple[str, ...]
    together: bool = False


FIGURES: tuple[FigureKind, ...] = (
    FigureKind(
        "analysis", "loss, learning rate, tokens, MFU, throughput, memory of a run",
        ("loss", "lr", "tokens", "mfu", "throughput", "memory"),
    ),
    FigureKind(
        "learning", "moving average, accuracy, accuracy over loss, newest part, learning rate, throughput of a run",
        ("moving_average", "accuracy", "loss_accuracy", "recent", "lr", "throughput"),
    ),
    FigureKind(
        "comparison", "loss, validation loss, throughput, MFU of several runs, and a table of their outcomes",
        ("loss", "val_loss", "throughput", "mfu"), together=True,
    ),
)  # fmt: skip

_BY_NAME = {figure.name: figure for figure in FIGURES}
_BY_ID = {panel.id: panel for panel in FIGURE_PANELS}
_OF_ONE_RUN = frozenset({"layers", "samples"})
"""Panels that show the run in focus alone."""


def find_figure(name: str, histories: Sequence[RunHistory]) -> FigureKind:
    """The figure with this name, else the one of the panel or metric of this name. Raises KeyError for another name."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    if name not in _BY_ID:
        find_panel(name, histories)
    return FigureKind(name, "", (name,))


def figure_names() -> list[str]:
    """All names but those of metrics, each once."""
    return list(dict.fromkeys((*_BY_NAME, *_BY_ID, *(panel.id for panel in PANELS))))


def shows_several(figure: FigureKind) -> bool:
    """Whether there is such a figure of several runs at once."""
    return figure.together or (len(figure.panels) == 1 and figure.panels[0] not in _OF_ONE_RUN)


def contents(request: PlotRequest, figure: FigureKind) -> list[Content]:
    """What each panel of a figure shows of the runs of a request. Raises KeyError as `find_figure`.

    Where a log is of another tool or has metrics of one's own, panels without data are replaced by others of which
    it has a metric; of other runs they stay, with the reason.
    """
    if len(figure.panels) == 1:
        return [_content(request, figure.panels[0])]
    built = {name: (_BY_ID[name] if name in _BY_ID else panel_of(name)).build(request) for name in figure.panels}
    if not has_others(request):
        return list(built.values())
    kept = [content for content in built.values() if with_data(content)]
    spare = spare_panels(built, request)
    kept += [panel.build(request) for panel in spare[: len(built) - len(kept)]]
    return kept or list(built.values())


def _content(request: PlotRequest, panel: str) -> Content:
    if panel in _BY_ID:
        return _BY_ID[panel].build(request)
    return find_panel(panel, [run.history for run in request.runs]).build(request)
