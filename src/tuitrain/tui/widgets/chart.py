"""The chart: one plot in a frame, whose axes stand still from one drawing to the next."""

from __future__ import annotations

from textual import events
from textual.message import Message

from tuitrain.tui.axes import Axes
from tuitrain.tui.plot import Plot, draw
from tuitrain.tui.widgets.lines import Lines


class Chart(Lines):
    """Draws the plot it was last given, again when its size changes. `selected`: whether its frame stands out."""

    DEFAULT_CSS = "Chart { height: 1fr; width: 1fr; }"

    class Picked(Message):
        """The chart was clicked on, once or twice."""

        def __init__(self, chart: Chart, twice: bool) -> None:
            super().__init__()
            self.chart = chart
            self.twice = twice

    def __init__(self, panel: str) -> None:
        super().__init__(id=f"chart-{panel}", classes="chart")
        self.panel = panel
        self.plot: Plot | None = None
        self.selected = False
        self._axes: Axes | None = None
        self._kept_for: tuple[str, bool, bool] | None = None

    def plot_data(self, plot: Plot, selected: bool) -> None:
        """Draw this plot from now on."""
        scales = (plot.x_axis, plot.log, plot.growing)
        if scales != self._kept_for:
            self._axes, self._kept_for = None, scales
        self.plot, self.selected = plot, selected
        self._draw()

    def forget_axes(self) -> None:
        """Choose the ranges anew at the next drawing, as for another run."""
        self._axes = None

    def _draw(self) -> None:
        if self.plot is None or not self.size:
            return
        lines, self._axes = draw(self.plot, *self.size, before=self._axes, focus=self.selected)
        self.show(lines)

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._draw()

    async def on_click(self, event: events.Click) -> None:
        self.post_message(self.Picked(self, event.chain > 1))
