"""The entries of a chart's legend: a sign and a name for each thing that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tuitrain.plots.event_markers import SIGNS
from tuitrain.plots.model import Curve, Plot
from tuitrain.plots.terminal import Line, Span, line


class Legend(NamedTuple):
    """All entries, by what they name."""

    curves: list[Line]
    points: list[Line]
    notes: list[Line]
    levels: list[Line]
    events: list[Line]


def legend_of(plot: Plot, outliers: str = "") -> Legend:
    """The entries of all that has a name. Points of several runs have one entry together, each kind of event has one.

    outliers: how many points lie outside of the range.
    """
    shown = [points for points in plot.points if len(points.x)]
    points = [_entry(each.glyph, each.role, each.name) for each in shown if each.name]
    if unnamed := [Span(each.glyph, each.role) for each in shown if not each.name]:
        points.append(line(*unnamed, Span(" validation", "quiet")))
    return Legend(
        curve_entries(named := named_curves(plot), [curve.name for curve in named]),
        points,
        [line(Span(text, "quiet")) for text in (outliers, "log" if plot.log else "") if text],
        [_entry("╌", level.role, level.name) for level in plot.levels if level.name],
        [_entry(SIGNS[kind], role, kind) for kind, role in {each.kind: each.role for each in plot.markers}.items()],
    )


def named_curves(plot: Plot) -> list[Curve]:
    """The curves with a name, in the order of their runs."""
    return sorted((curve for curve in plot.curves if curve.name), key=lambda curve: (curve.order, curve.role))


def curve_entries(curves: Sequence[Curve], names: Sequence[str]) -> list[Line]:
    """Entries of curves with these names."""
    return [_entry(each.glyph or "─", each.role, name) for each, name in zip(curves, names, strict=True)]


def _entry(sign: str, role: str, name: str) -> Line:
    return line(Span(sign, role), Span(f" {name}", "quiet"))
