"""What lies over the curves: annotations, the crosshair and its values, and the glyphs that tell runs apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuitrain.runs import FloatArray
from tuitrain.tui.charts.canvas import Canvas
from tuitrain.tui.charts.plot import Curve, Mark, MarkKind, Plot
from tuitrain.tui.charts.xscale import XScale
from tuitrain.tui.text import Line, Span, join, line, width

STAR = "★"
SIGNS: dict[MarkKind, str] = {"checkpoint": "▴", "eval": "▵", "restart": "┊", "alert": "!"}
GAP = line("  ")
_RANKS: dict[MarkKind, int] = {"eval": 0, "checkpoint": 1, "restart": 2, "alert": 3}
_GLYPH_EVERY = 24
"""Columns between the glyphs along a curve."""
_NEAR_COLUMNS = 2
"""So near to a star or a mark the crosshair tells it."""

Owner = NDArray[np.intp]


def draw_marks(canvas: Canvas, marks: Sequence[Mark], scale: XScale, owner: Owner) -> None:
    """A sign at the bottom where no curve is, otherwise at the top; a restart is a dotted line between the curves."""
    if not marks:
        return
    columns = scale.columns_of(np.array([mark.x for mark in marks], dtype=np.float64))
    shown: dict[int, Mark] = {}
    for column, mark in zip(columns.tolist(), marks, strict=True):
        # Of several in one column the most important one shows.
        if column >= 0 and (column not in shown or _RANKS[mark.kind] >= _RANKS[shown[column].kind]):
            shown[column] = mark
    for column, mark in shown.items():
        free = np.flatnonzero(owner[:, column] < 0).tolist()
        if mark.kind == "restart":
            for row in free:
                canvas.put(column, row, SIGNS[mark.kind], mark.role)
        elif free and free[-1] == canvas.rows - 1:
            canvas.put(column, canvas.rows - 1, SIGNS[mark.kind], mark.role)
        elif free and free[0] == 0:
            canvas.put(column, 0, SIGNS[mark.kind], mark.role)


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

    Names go with their values where there is room, otherwise only the signs of the curves.
    """
    column = scale.column(at)
    reach = (scale.value_at(column + _NEAR_COLUMNS) - scale.value_at(column - _NEAR_COLUMNS)) / 2
    found: list[tuple[str, str, str, str]] = []
    for curve in sorted(plot.curves, key=lambda curve: curve.role):
        value = value_near(curve.x, curve.y, at)
        if value is not None:
            found.append((curve.glyph or "─", curve.role, curve.name, exact(value)))
    for points in plot.points:
        value = value_near(points.x, points.y, at, reach)
        if value is not None:
            found.append((STAR, points.role, points.name, exact(value)))
    near = {mark.text or mark.kind: mark for mark in plot.marks if abs(mark.x - at) <= reach}
    told = [line(Span(f"{SIGNS[mark.kind]} ", mark.role), Span(text, "quiet")) for text, mark in near.items()][-2:]
    full = [_entry(sign, role, f"{name} " if name else "", value) for sign, role, name, value in found]
    short = [_entry(sign, role, "", value) for sign, role, _, value in found]
    for lines in ([*full, *told], [*short, *told], full, short):
        if width(join(lines, GAP)) <= room:
            return lines
    return short


def _entry(sign: str, role: str, name: str, value: str) -> Line:
    return line(Span(f"{sign} ", role), Span(name, "quiet"), Span(value, "value"))


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


def exact(value: float) -> str:
    """A value with five digits: `2.3141`, `412,345`, `2.9131e-4`."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-3:
        mantissa, _, power = f"{value:.4e}".partition("e")
        return f"{mantissa}e{int(power)}"
    digits = max(0, 4 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"
