"""The values at the crosshair, as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.metrics import BY_KEY, Metric
from tuitrain.plots.event_markers import SIGNS
from tuitrain.plots.legend import GAP, short_names
from tuitrain.plots.model import HeatMap, Plot, value_near
from tuitrain.plots.terminal import Line, Span, join, line, width
from tuitrain.plots.x_scale import XScale

_NEAR_COLUMNS = 2
"""At most so far from the crosshair are the points and markers that the readout names."""
_DIGITS, _FEW_DIGITS = 5, 3
"""Of a value without a unit, and where there is little room."""


def readout(plot: Plot, at: float, scale: XScale, room: int) -> list[Line]:
    """The values at the crosshair: of each curve its nearest recorded point, then points and markers near it.

    Where there is little room, those of several runs lose markers and points, then digits, then names; those of a run
    alone first the names, since their colours differ. The caller wraps what does not fit.
    """
    column = scale.column(at)
    reach = (scale.value_at(column + _NEAR_COLUMNS) - scale.value_at(column - _NEAR_COLUMNS)) / 2
    metric = BY_KEY.get(plot.metric)
    curves = [
        _Value(curve.glyph or "─", curve.role, curve.name, value, metric, value_near(curve.x, curve.std, at))
        for curve in sorted(plot.curves, key=lambda curve: (curve.order, curve.role))
        if (value := value_near(curve.x, curve.y, at)) is not None
    ]
    both = curves + [
        _Value(points.glyph, points.role, points.name, value, metric)
        for points in plot.points
        if (value := value_near(points.x, points.y, at, reach)) is not None
    ]
    near = {marker.text or marker.kind: marker for marker in plot.markers if abs(marker.x - at) <= reach}
    events = [line(Span(f"{SIGNS[each.kind]} ", each.role), Span(text, "quiet")) for text, each in near.items()][-2:]
    full, values, rough = _entries(both), _entries(curves, named=False), _entries(curves, named=False, short=True)
    if sum(bool(curve.glyph) for curve in plot.curves) < 2:
        unnamed = _entries(both, named=False)
        return _first_fitting([[*full, *events], [*unnamed, *events], full, unnamed], room) or rough
    names = short_names([each.name for each in curves])
    named = [replace(each, name=name) for each, name in zip(curves, names, strict=True)]
    brief = _entries(named, short=True)
    forms = [[*full, *events], full, _entries(curves), _entries(named), brief, values, rough]
    # Wrapped to two rows all have their names.
    return _first_fitting(forms, room) or _first_fitting([brief], 2 * room) or rough


def readout_of_map(heat: HeatMap, at: float) -> Line:
    """The largest value of the last reading up to a position, and its row; empty where none is finite."""
    values = heat.values[max(int(np.searchsorted(heat.x, at, "right")) - 1, 0)]
    if not np.isfinite(values).any():
        return ()
    largest = int(np.nanargmax(values))
    return line(Span(f"largest {values[largest]:.3g}", "value"), Span(f" in {heat.rows[largest]}", "quiet"))


def _first_fitting(forms: Sequence[list[Line]], room: int) -> list[Line] | None:
    return next((form for form in forms if width(join(form, GAP)) <= room), None)


@dataclass(frozen=True)
class _Value:
    """A value at the crosshair, in the unit of the axis."""

    sign: str
    role: str
    name: str
    value: float
    metric: Metric | None
    std: float | None = None

    def entry(self, named: bool, short: bool) -> Line:
        """The value with the digits and the unit of its metric; short: with fewer digits and no unit."""
        if self.metric is None or short:
            text = units.exact(self.value, _FEW_DIGITS if short else _DIGITS)
        else:
            text = self.metric.text(self.value / self.metric.factor)
        if self.std is not None:
            text = f"{text} ± {units.exact(self.std, _FEW_DIGITS)}"
        name = f"{self.name} " if named and self.name else ""
        return line(Span(f"{self.sign} ", self.role), Span(name, "quiet"), Span(text, "value"))


def _entries(values: Sequence[_Value], named: bool = True, short: bool = False) -> list[Line]:
    return [each.entry(named, short) for each in values]
