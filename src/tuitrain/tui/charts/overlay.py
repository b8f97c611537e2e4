"""What lies over the curves: annotations, the crosshair and its values, and the glyphs that tell runs apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tuitrain.analysis import units
from tuitrain.analysis.metrics import BY_KEY
from tuitrain.plots.event_markers import SIGNS, markers_by_column
from tuitrain.plots.model import Curve, Marker, Plot
from tuitrain.plots.x_scale import XScale
from tuitrain.runs import FloatArray
from tuitrain.tui.charts.canvas import Canvas
from tuitrain.tui.text import Line, Span, join, line, width

GAP = line("  ")
_GLYPH_EVERY = 24
"""Columns between the glyphs along a curve."""
_NEAR_COLUMNS = 2
"""At most so far from the crosshair are the points and markers that the readout names."""

_FEW = 3
"""Digits where there is no room for five."""
_BRIEF = 4
"""Of the forms of a readout of several runs the shortest that has names."""
_WORD = re.compile(r"(?:[^\s·_/-]|(?<=\de)-(?=\d))+")
"""A word of a name; `1e-3` is one."""
_SHORT = 14
"""Cells of a name that is shortened."""

Owner = NDArray[np.intp]


def draw_markers(canvas: Canvas, markers: Sequence[Marker], scale: XScale, owner: Owner) -> None:
    """A sign at the bottom where no curve is, otherwise at the top; a restart is a dotted line between the curves."""
    for column, marker in markers_by_column(markers, scale).items():
        free = np.flatnonzero(owner[:, column] < 0).tolist()
        if marker.kind == "restart":
            for row in free:
                canvas.put(column, row, SIGNS[marker.kind], marker.role)
        elif free and free[-1] == canvas.rows - 1:
            canvas.put(column, canvas.rows - 1, SIGNS[marker.kind], marker.role)
        elif free and free[0] == 0:
            canvas.put(column, 0, SIGNS[marker.kind], marker.role)


def draw_crosshair(canvas: Canvas, at: float, scale: XScale, owner: Owner) -> None:
    """A vertical line that leaves the curves in sight."""
    column = scale.column(at)
    if column >= 0:
        for row in np.flatnonzero(owner[:, column] < 0).tolist():
            canvas.put(column, row, "│", "crosshair")


def draw_glyphs(canvas: Canvas, curves: Sequence[Curve], owner: Owner) -> None:
    """The glyphs of several runs along their curves, so that they can be told apart without colour."""
    marked = [index for index, curve in enumerate(curves) if curve.glyph]
    if len(marked) < 2:
        return
    for place, index in enumerate(marked):
        first = _GLYPH_EVERY // 4 + _GLYPH_EVERY * place // len(marked)
        for column in range(first, canvas.columns, _GLYPH_EVERY):
            rows = np.flatnonzero(owner[:, column] == index)
            if len(rows):
                canvas.put(column, int(rows[len(rows) // 2]), curves[index].glyph, curves[index].role)


def readout(plot: Plot, at: float, scale: XScale, room: int) -> list[Line]:
    """What stands at the crosshair: of each curve its nearest recorded point, near stars, near marks.

    Where there is little room, those of several runs give up marks and stars, then digits, then names; those of a run
    alone first the names, which their colours tell too. What does not fit even so is for the caller to wrap.
    """
    column = scale.column(at)
    about = BY_KEY.get(plot.metric)

    def text(value: float, digits: int) -> str:
        """With the digits and the unit of the metric, or where there is little room with fewer digits and no unit."""
        return units.exact(value, digits) if about is None or digits == _FEW else about.text(value / about.factor)

    reach = (scale.value_at(column + _NEAR_COLUMNS) - scale.value_at(column - _NEAR_COLUMNS)) / 2
    curves: list[_Reading] = []
    near_stars: list[_Reading] = []
    for curve in sorted(plot.curves, key=lambda curve: (curve.order, curve.role)):
        value = value_near(curve.x, curve.y, at)
        if value is not None:
            curves.append(_Reading(curve.glyph or "─", curve.role, curve.name, value))
    for points in plot.points:
        value = value_near(points.x, points.y, at, reach)
        if value is not None:
            near_stars.append(_Reading(points.glyph, points.role, points.name, value))
    near = {marker.text or marker.kind: marker for marker in plot.markers if abs(marker.x - at) <= reach}
    events = [line(Span(f"{SIGNS[each.kind]} ", each.role), Span(text, "quiet")) for text, each in near.items()][-2:]
    both = [*curves, *near_stars]
    alone = sum(bool(curve.glyph) for curve in plot.curves) < 2
    if alone:
        forms = [
            [*_entries(both, text), *events], [*_entries(both, text, named=False), *events], _entries(both, text),
            _entries(both, text, named=False), _entries(curves, text, _FEW, named=False),
        ]  # fmt: skip
    else:
        names = distinct([each.name for each in curves])
        brief = [replace(each, name=name) for each, name in zip(curves, names, strict=True)]
        forms = [
            [*_entries(both, text), *events], _entries(both, text), _entries(curves, text), _entries(brief, text),
            _entries(brief, text, _FEW), _entries(curves, text, named=False),
            _entries(curves, text, _FEW, named=False),
        ]  # fmt: skip
    fitting = next((form for form in forms if width(join(form, GAP)) <= room), None)
    if fitting is None and not alone and width(join(forms[_BRIEF], GAP)) <= 2 * room:
        # Wrapped to two rows all have their names.
        return forms[_BRIEF]
    return forms[-1] if fitting is None else fitting


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
class _Reading:
    sign: str
    role: str
    name: str
    value: float


def _entries(
    readings: Sequence[_Reading], text: Callable[[float, int], str], digits: int = 5, named: bool = True
) -> list[Line]:
    return [
        line(
            Span(f"{each.sign} ", each.role),
            Span(f"{each.name} " if named and each.name else "", "quiet"),
            Span(text(each.value, digits), "value"),
        )
        for each in readings
    ]


def distinct(names: Sequence[str]) -> list[str]:
    """Short forms of names that stay different: the word in which all differ, else of each a word no other name has.

    `lr1e-2, lr1e-3`; `0001`. A name without such a word stays whole; what is long is shortened in the middle.
    """
    words = [_WORD.findall(name) for name in names]
    for place in range(min(map(len, words), default=0)):
        if len({each[place] for each in words}) == len(words):
            return _shortened([each[place] for each in words])
    holders = Counter(word for each in words for word in set(each))
    return _shortened(
        [next((word for word in each if holders[word] == 1), name) for name, each in zip(names, words, strict=True)]
    )


def _shortened(names: list[str]) -> list[str]:
    """Names with their middle left out where they are long, as long as they stay different."""
    ends = _SHORT // 2
    shorter = [name if len(name) <= _SHORT else f"{name[: ends - 1]}…{name[-ends:]}" for name in names]
    return shorter if len(set(shorter)) == len(set(names)) else names


def value_near(x: FloatArray, y: FloatArray, at: float, reach: float | None = None) -> float | None:
    """The value of the point nearest to a place, None where it is farther than `reach`.

    Without a reach a curve goes as far beyond its ends as its points there lie apart.
    """
    if not len(x):
        return None
    after = min(int(np.searchsorted(x, at)), len(x) - 1)
    nearest = after - 1 if after and at - x[after - 1] <= x[after] - at else after
    if reach is None:
        neighbour = max(after, 1) if len(x) > 1 else 0
        reach = abs(float(x[neighbour] - x[neighbour - 1])) if after in (0, len(x) - 1) else float("inf")
    return float(y[nearest]) if abs(float(x[nearest]) - at) <= reach else None
