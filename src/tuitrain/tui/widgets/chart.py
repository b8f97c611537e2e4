"""The chart widget: one plot in a frame, whose ranges are kept from one drawing to the next."""

from __future__ import annotations

from tuitrain.plots.axes import Range
from tuitrain.plots.charts.border import Area, Drawing
from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.limits import x_range
from tuitrain.plots.model import ChartOptions, HeatMap, Plot
from tuitrain.tui.text import Line
from tuitrain.tui.widgets.lines import Lines


class Chart(Lines):
    """Draws the plot of a panel, again when its size changes. `selected`: whether its frame is highlighted."""

    def __init__(self) -> None:
        super().__init__(classes="chart")
        self.panel = ""
        """The id of the panel it shows."""
        self.plot: Plot | HeatMap | None = None
        self.selected = False
        self._drawing = Drawing([])
        self._options = ChartOptions()

    def show_plot(self, panel: str, plot: Plot | HeatMap, selected: bool) -> None:
        """Draw this plot of a panel from now on, with the options of the state where it has the state's x axis."""
        state = self.app.state
        if panel != self.panel:
            self.panel = panel
            self.forget_axes()
        self.plot, self.selected = plot, selected
        shared = self.has_shared_axis
        self._options = ChartOptions(
            state.zoom if shared else None, state.crosshair if shared else None, state.log_x, state.recent,
            plotext=self.app.settings.charts == "plotext",
        )  # fmt: skip
        self.remake()

    def forget_axes(self) -> None:
        """Compute the ranges again at the next drawing, as for another run."""
        self._drawing = Drawing([])

    def make(self) -> tuple[Line, ...]:
        if self.plot is None or not self.size:
            return ()
        self._drawing = draw(self.plot, *self.size, self._drawing, self.selected, self._options)
        return tuple(self._drawing.lines)

    @property
    def has_shared_axis(self) -> bool:
        """Whether its x axis is that of the state, so that zoom and crosshair are of its unit."""
        return self.plot is not None and self.plot.x_axis == self.app.state.x

    @property
    def areas(self) -> tuple[Area, ...]:
        """The canvases of the last drawing, with their axes."""
        return self._drawing.areas

    @property
    def data_range(self) -> Range | None:
        """All that the x axis can show, as the axis holds it; None without data."""
        if not isinstance(self.plot, Plot) or not self.plot.has_data or not self.areas:
            return None
        return x_range(self.plot, ChartOptions(log_x=self.areas[0].scale.log))

    def x_at(self, column: int) -> float | None:
        """The value of the shared x axis at a column of the widget; None beside the canvas, or over another axis."""
        for area in self.areas if self.has_shared_axis else ():
            if 0 <= column - area.left < area.scale.columns:
                return area.scale.value_at(column - area.left)
        return None
