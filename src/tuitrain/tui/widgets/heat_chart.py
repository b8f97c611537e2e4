"""The chart widget of a heat map."""

from __future__ import annotations

from tuitrain.plots.axes import Range
from tuitrain.plots.model import HeatMap
from tuitrain.tui.charts.heat_map import draw_heat_map
from tuitrain.tui.text import Line
from tuitrain.tui.widgets.chart import Chart


class HeatChart(Chart):
    """Draws the map it was last given. Zoom, crosshair and mouse are those of every chart."""

    def __init__(self, panel: str) -> None:
        super().__init__(panel)
        self.heat = HeatMap("")
        self._range: Range | None = None
        self._kept_for = ("", True)

    def map_data(self, heat: HeatMap, selected: bool) -> None:
        """Draw this map from now on."""
        if (heat.x_axis, heat.growing) != self._kept_for:
            self._range, self._kept_for = None, (heat.x_axis, heat.growing)
        self.heat = heat
        self.plot_data(heat.as_plot, selected)

    def forget_axes(self) -> None:
        super().forget_axes()
        self._range = None

    def make(self) -> tuple[Line, ...]:
        if not self.size:
            return ()
        (lines, self.areas), self._range = draw_heat_map(
            self.heat, *self.size, self._range, self.selected, self._options
        )  # fmt: skip
        return tuple(lines)
