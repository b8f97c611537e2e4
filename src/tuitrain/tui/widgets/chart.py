"""The chart widget: one plot in a frame, whose ranges are kept from one drawing to the next."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message

from tuitrain.plots.axes import Range
from tuitrain.plots.limits import x_range
from tuitrain.plots.model import ChartOptions, HeatMap, Plot
from tuitrain.tui.charts.border import Area, Drawing
from tuitrain.tui.charts.drawing import draw
from tuitrain.tui.text import Line
from tuitrain.tui.widgets.lines import Lines

_WHEEL = 0.8
"""The share of the range that one notch of the wheel keeps."""


class Chart(Lines):
    """Draws its plot, again when its size changes. `selected`: whether its frame is highlighted."""

    @dataclass
    class Picked(Message):
        """The chart was clicked on, once or twice."""

        chart: Chart
        twice: bool

    @dataclass
    class Pointed(Message):
        """The mouse is over a position of the x axis."""

        chart: Chart
        at: float

    @dataclass
    class Zoomed(Message):
        """The wheel turned: show `factor` of the range around `at`, which does not move."""

        chart: Chart
        factor: float
        at: float

    @dataclass
    class Dragged(Message):
        """The canvas was dragged to the right by so many columns."""

        chart: Chart
        columns: int

    def __init__(self, panel: str) -> None:
        super().__init__(id=f"chart-{panel}", classes="chart")
        self.panel = panel
        self.plot: Plot | HeatMap | None = None
        self.selected = False
        self._drawing = Drawing([])
        self._options = ChartOptions()
        self._held: int | None = None
        self._dragged = False

    def show_plot(self, plot: Plot | HeatMap, selected: bool) -> None:
        """Draw this plot from now on, with the options of the state where it has the state's x axis."""
        state = self.app.state
        shared = plot.x_axis == state.x
        self._options = ChartOptions(
            state.zoom if shared else None, state.crosshair if shared else None, state.log_x, state.recent,
            plotext=self.app.settings.charts == "plotext",
        )  # fmt: skip
        self.plot, self.selected = plot, selected
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
    def areas(self) -> tuple[Area, ...]:
        """The canvases of the last drawing, with their axes."""
        return self._drawing.areas

    @property
    def whole(self) -> Range | None:
        """All that the x axis can show, as the axis holds it; None without data."""
        if not isinstance(self.plot, Plot) or not self.plot.has_data or not self.areas:
            return None
        return x_range(self.plot, ChartOptions(log_x=self.areas[0].scale.log))

    def x_at(self, column: int) -> float | None:
        """The value of the x axis at a column of the widget; None beside the canvas."""
        for area in self.areas:
            if 0 <= column - area.left < area.scale.columns:
                return area.scale.value_at(column - area.left)
        return None

    async def on_click(self, event: events.Click) -> None:
        if self._dragged:
            self._dragged = False
            return
        self._point(event.x)
        self.post_message(self.Picked(self, event.chain > 1))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._held, self._dragged = event.x, False
        self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._held = None
        self.release_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._held is not None:
            if event.x != self._held:
                self.post_message(self.Dragged(self, event.x - self._held))
                self._held, self._dragged = event.x, True
        else:
            self._point(event.x)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, _WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1 / _WHEEL)

    def _point(self, column: int) -> None:
        if (at := self.x_at(column)) is not None:
            self.post_message(self.Pointed(self, at))

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        event.stop()
        if (at := self.x_at(event.x)) is not None:
            self.post_message(self.Zoomed(self, factor, at))
