"""The one model of a chart: curves, points, levels, markers and axes. It holds facts; others draw them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tuitrain.plots.axes import PlotAxis, Range
from tuitrain.runs import FloatArray

MarkerKind = Literal["checkpoint", "eval", "restart", "alert"]

NO_DATA = "no data yet"
RAW = "raw"
"""The name of the curve that is drawn again smoothed."""
SUPERSEDED = "superseded"
"""The role of steps that a later attempt repeated: they lie under all else."""


@dataclass(frozen=True)
class Curve:
    """A line through points with x never decreasing; nan and inf interrupt it and are marked. glyph: at its end."""

    x: FloatArray
    y: FloatArray
    role: str
    name: str = ""
    glyph: str = ""
    order: int = 0
    """Index in the legend and among the values at the crosshair, whichever curve lies on top."""
    forecast: bool = False
    """Whether it is planned or projected and not measured."""
    std: FloatArray | None = None
    """Of a mean the standard deviation at each x: a band of one deviation to either side is drawn."""
    smoothing: float = 0.0
    """Below 1 the weight of the moving average that y is, from 1 on the records of a centred one; 0 is as recorded."""

    @property
    def band(self) -> tuple[Curve, ...]:
        """The lower and the upper edge of the band; empty without one."""
        if self.std is None:
            return ()
        return tuple(Curve(self.x, self.y + side * self.std, f"{self.role}.faint") for side in (-1, 1))


STAR = "★"
"""The glyph of the validation of a run alone."""


@dataclass(frozen=True)
class Points:
    """Single points with x never decreasing, each drawn as `glyph`. Without a name they are the validation of a run."""

    x: FloatArray
    y: FloatArray
    role: str
    name: str = ""
    glyph: str = STAR
    order: int = 0
    """Index of the run among several."""
    shade: FloatArray | None = None
    """The step of each point, where a figure colours the points by it."""


@dataclass(frozen=True)
class Level:
    """A dashed horizontal line."""

    y: float
    role: str
    name: str = ""
    in_range: bool = True
    """Whether the y axis stretches to show it; otherwise it shows only where the data reach it."""


@dataclass(frozen=True)
class VerticalLine:
    """A dashed vertical line of a figure; the live charts do not draw it."""

    x: float
    name: str


@dataclass(frozen=True)
class SecondAxis:
    """A second scale for the same curves at the right of a figure: `forward` of the values of the first, vectorised."""

    title: str
    forward: Callable[[ArrayLike], FloatArray]
    inverse: Callable[[ArrayLike], FloatArray]


@dataclass(frozen=True)
class Marker:
    """An event at a position of the x axis; text: its description at the crosshair."""

    x: float
    kind: MarkerKind
    role: str
    text: str = ""


@dataclass(frozen=True)
class Plot:
    """One chart. Later curves lie over earlier ones; `growing`: more points may come, so axes keep room."""

    title: str
    value: str = ""
    curves: tuple[Curve, ...] = ()
    points: tuple[Points, ...] = ()
    levels: tuple[Level, ...] = ()
    markers: tuple[Marker, ...] = ()
    x_axis: PlotAxis = "step"
    x_range: Range | None = None
    """The smallest range of the x axis: the same for all charts of the same runs, whichever values each has."""
    metric: str = ""
    """The name of the metric that the y axis shows; empty without one."""
    log: bool = False
    from_zero: bool = False
    clip: bool = False
    """Whether outliers are left out of the y range; the legend counts them."""
    stacked: bool = False
    """Whether each curve is a sum, which a figure fills down to the curve before it."""
    keep_first: bool = False
    """Whether the first value of a curve is never an outlier: a loss begins far above the rest."""
    growing: bool = True
    empty: str = NO_DATA
    note: str = ""
    """A sentence below the title, where there are rows for it."""
    notes: tuple[str, ...] = ()
    """Sentences in a corner of a figure."""
    vertical_lines: tuple[VerticalLine, ...] = ()
    second_axis: SecondAxis | None = None

    @property
    def data(self) -> tuple[Curve | Points, ...]:
        """All that has points."""
        return (*self.curves, *self.points)

    @property
    def lines(self) -> tuple[Curve, ...]:
        """The lines from the lowest to the topmost: superseded ones first, the edges of a band before its curve."""
        every = [line for curve in self.curves for line in (*curve.band, curve)]
        return tuple(sorted(every, key=lambda line: line.role != SUPERSEDED))

    @property
    def has_data(self) -> bool:
        """Whether there is any point to draw, finite or not."""
        return any(len(part.x) for part in self.data)

    @property
    def uncoloured(self) -> Plot:
        """The same without the raw curve under a smoothed one, which differs from it by its colour alone."""
        return replace(self, curves=tuple(curve for curve in self.curves if curve.name != RAW))


@dataclass(frozen=True)
class HeatMap:
    """Values (positions × rows) at positions x that never decrease; `rows`: names, the lowest row first."""

    title: str
    x: FloatArray = field(default_factory=lambda: np.empty(0))
    values: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    rows: tuple[str, ...] = ()
    value: str = ""
    label: str = ""
    """What the values are, beside their colours."""
    x_axis: PlotAxis = "step"
    growing: bool = True
    empty: str = NO_DATA

    @property
    def as_plot(self) -> Plot:
        """A plot without data: title and axes of the map."""
        return Plot(self.title, self.value, x_axis=self.x_axis, growing=self.growing, empty=self.empty)


@dataclass(frozen=True)
class TextTable:
    """Rows of texts below their headings; the last column is the widest."""

    title: str
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    empty: str = NO_DATA


@dataclass(frozen=True)
class ChartOptions:
    """How a chart is viewed, in units of the x axis; none of it changes the data.

    zoom: the range shown; crosshair: the position of exact values; recent: whether the newest part is beside the whole;
    plotext: draw with plotext and not with the rasteriser.
    """

    zoom: Range | None = None
    crosshair: float | None = None
    log_x: bool = False
    recent: bool = False
    plotext: bool = False


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


def newest_value(plot: Plot, role: str, at: float | None = None) -> str | None:
    """The newest finite number of the first curve in a role that has any, or the one nearest to a position."""
    for curve in (each for each in plot.curves if each.role == role):
        finite = np.flatnonzero(np.isfinite(curve.y))
        if len(finite):
            row = finite[-1] if at is None else finite[abs(curve.x[finite] - at).argmin()]
            return f"{float(curve.y[row]):.10g}"
    return None
