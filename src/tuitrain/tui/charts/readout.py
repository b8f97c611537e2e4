"""The values at the crosshair, as many as there is room for, and short forms of the names of runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.metrics import BY_KEY, Metric
from tuitrain.plots.event_markers import SIGNS
from tuitrain.plots.model import Plot
from tuitrain.plots.x_scale import XScale
from tuitrain.runs import FloatArray
from tuitrain.tui.text import Line, Span, join, line, width

GAP = line("  ")
_NEAR_COLUMNS = 2
"""At most so far from the crosshair are the points and markers that the readout names."""
_DIGITS, _FEW_DIGITS = 5, 3
"""Of a value without a unit, and where there is little room."""
_WORD = re.compile(r"(?:[^\s·_/-]|(?<=\de)-(?=\d))+")
"""A word of a name; `1e-3` is one."""
_SHORT_NAME = 14
"""Cells of a name that is shortened."""


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
    names = distinct([each.name for each in curves])
    named = [replace(each, name=name) for each, name in zip(curves, names, strict=True)]
    brief = _entries(named, short=True)
    forms = [[*full, *events], full, _entries(curves), _entries(named), brief, values, rough]
    # Wrapped to two rows all have their names.
    return _first_fitting(forms, room) or _first_fitting([brief], 2 * room) or rough


def _first_fitting(forms: Sequence[list[Line]], room: int) -> list[Line] | None:
    return next((form for form in forms if width(join(form, GAP)) <= room), None)


def wrapped(entries: Sequence[Line], first: int, others: int) -> list[list[Line]]:
    """The entries in rows: the first row has `first` cells, the others `others` each."""
    rows: list[list[Line]] = [[]]
    for entry in entries:
        room = others if len(rows) > 1 else first
        if width(join((*rows[-1], entry), GAP)) > room:
            rows.append([])
        rows[-1].append(entry)
    return rows


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


def distinct(names: Sequence[str]) -> list[str]:
    """Short forms of names that stay different: the word in which all differ, else of each a word no other name has.

    `lr1e-2, lr1e-3`; `0001`. A name without such a word stays whole; what is long is shortened in the middle.
    """
    words = [_WORD.findall(name) for name in names]
    for index in range(min(map(len, words), default=0)):
        if len({each[index] for each in words}) == len(words):
            return _shortened([each[index] for each in words])
    holders = Counter(word for each in words for word in set(each))
    return _shortened(
        [next((word for word in each if holders[word] == 1), name) for name, each in zip(names, words, strict=True)]
    )


def _shortened(names: list[str]) -> list[str]:
    """Names with their middle left out where they are long, as long as they stay different."""
    ends = _SHORT_NAME // 2
    shorter = [name if len(name) <= _SHORT_NAME else f"{name[: ends - 1]}…{name[-ends:]}" for name in names]
    return shorter if len(set(shorter)) == len(set(names)) else names


def value_near(x: FloatArray, y: FloatArray | None, at: float, reach: float | None = None) -> float | None:
    """The value of the point nearest to a position of the x axis; None where it is farther than `reach`.

    Without a reach a curve goes as far beyond its ends as its points there lie apart.
    """
    if not len(x) or y is None:
        return None
    after = min(int(np.searchsorted(x, at)), len(x) - 1)
    nearest = after - 1 if after and at - x[after - 1] <= x[after] - at else after
    if reach is None:
        neighbour = max(after, 1) if len(x) > 1 else 0
        reach = abs(float(x[neighbour] - x[neighbour - 1])) if after in (0, len(x) - 1) else float("inf")
    return float(y[nearest]) if abs(float(x[nearest]) - at) <= reach else None
