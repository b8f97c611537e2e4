"""The keys and the mouse of a grid of charts: axes, smoothing, zoom and pan, the crosshair."""

from __future__ import annotations

from pathlib import PurePath

from textual import events

from tuitrain.plots.axes import Range
from tuitrain.plots.limits import SMALLEST_SHARE
from tuitrain.plots.x_scale import XScale
from tuitrain.tui.registry import bindings
from tuitrain.tui.view_state import Option
from tuitrain.tui.widgets.chart import Chart
from tuitrain.tui.widgets.chart_grid import ChartGrid

_PAN = 0.25
"""How far one key press moves, as a share of what is visible."""
_JUMP = 10
"""Columns that the crosshair moves with shift."""
_WHEEL = 0.8
"""The share of the range that one notch of the wheel keeps."""

CHARTS_CSS: list[str | PurePath] = ["../styles/tabs.tcss", "../styles/charts.tcss"]
"""The styles of a screen that has a dashboard."""


class Dashboard(ChartGrid):
    """A grid of charts over a horizontal axis that all of them share."""

    BINDINGS = bindings("watch", "charts")

    _drag: tuple[Chart, int] | None = None
    """The chart that is dragged, and the column of the screen in which the mouse was last."""
    _dragged = False
    """Whether the mouse has moved since its button was pressed: then its release is no click."""

    def action_cycle_axis(self) -> None:
        self.state.next_axis(self.axes)
        self.app.redraw()

    def action_cycle_smoothing(self) -> None:
        self.state.next_smoothing()
        self.app.redraw()

    def action_toggle_option(self, option: Option) -> None:
        """Turn an option of the charts on or off."""
        self.state.toggle(option)
        self.app.redraw()

    def action_go(self, columns: int) -> None:
        """Move the crosshair by columns of the charts, or where there is none the focus by panels."""
        if not self._move_crosshair(columns):
            self.action_move_focus(columns, 0)

    def action_crosshair(self) -> None:
        """Exact values at the newest visible point, or none any more."""
        scale, newest = self._scale, self.state.newest_x()
        if self.state.crosshair is not None:
            self._set_crosshair(None)
        elif scale is not None:
            self._set_crosshair(scale.high if newest is None else min(scale.high, newest))

    def action_pan(self, direction: int) -> None:
        """Move the crosshair, or where there is none the visible part of the axis; direction: 1 is to the right."""
        if not self._move_crosshair(direction * _JUMP):
            self._pan_by(direction * _PAN)

    def action_whole_range(self) -> None:
        self._show_range(None)

    def _chart_at(self, event: events.MouseEvent) -> tuple[Chart | None, int]:
        """The chart under the mouse, and the column of it that the mouse is in."""
        chart = next(
            (each for each in self.charts if each.display and each.region.contains_point(event.screen_offset)), None
        )
        return chart, event.screen_x - (chart.region.x if chart is not None else 0)

    def on_click(self, event: events.Click) -> None:
        chart, _ = self._chart_at(event)
        if chart is None or self._dragged:
            return
        self._point(event)
        self.focus_index = self.in_sight[self.charts.index(chart)]
        if event.chain > 1:
            self.action_zoom()
        else:
            self.app.redraw()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        chart, _ = self._chart_at(event)
        if chart is not None and chart.areas:
            self._drag, self._dragged = (chart, event.screen_x), False
            self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._drag = None
        self.release_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._drag is None:
            self._point(event)
            return
        chart, x = self._drag
        if event.screen_x != x:
            self._pan_by((x - event.screen_x) / chart.areas[0].scale.columns)
            self._drag, self._dragged = (chart, event.screen_x), True

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, _WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1 / _WHEEL)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        """Show this share of the range, around the position under the mouse, which does not move."""
        chart, column = self._chart_at(event)
        if chart is not None and (x := chart.x_at(column)) is not None:
            event.stop()
            self.action_zoom_by(factor, x, chart.areas[0].scale)

    def _point(self, event: events.MouseEvent) -> None:
        """Move the crosshair, where there is one, to the position under the mouse."""
        chart, column = self._chart_at(event)
        if self.state.crosshair is not None and chart is not None and (x := chart.x_at(column)) is not None:
            self._set_crosshair(x)

    @property
    def _scale(self) -> XScale | None:
        """The horizontal axis of the chart in focus; where that has none, of any other."""
        charts = [chart for chart in self.charts if chart.display and chart.areas and chart.has_shared_axis]
        return max(charts, key=lambda chart: chart.selected).areas[0].scale if charts else None

    def action_zoom_by(self, factor: float, around: float | None = None, scale: XScale | None = None) -> None:
        """Show this share of what is visible, around a position: the crosshair, the newest point, the middle."""
        scale = scale or self._scale
        if scale is None:
            return
        positions = (around, self.state.crosshair, self.state.newest_x())
        around = next((x for x in positions if x is not None and scale.low < x <= scale.high), None)
        low, high = scale.range.low, scale.range.high
        middle = (low + high) / 2 if around is None else scale.position(around)
        self._show(scale, middle - (middle - low) * factor, middle + (high - middle) * factor)

    def _pan_by(self, share: float) -> None:
        """Move by a share of what is visible. All of the axis cannot be moved."""
        scale = self._scale
        if scale is not None and self.state.zoom is not None:
            by = share * scale.range.span
            self._show(scale, scale.range.low + by, scale.range.high + by)

    def _show(self, scale: XScale, low: float, high: float) -> None:
        """Show a range in the units of the scale, within what there is; all there is ends the zoom."""
        data, span = self._data_range(scale), high - low
        low = min(max(low, data.low), data.high - span)
        shown = Range(low, low + span).values(scale.log)
        if span >= data.span:
            self._show_range(None)
        elif shown.span > SMALLEST_SHARE * max(abs(shown.low), abs(shown.high)):
            self._show_range(shown)

    def _show_range(self, shown: Range | None) -> None:
        self.state.show_range(shown)
        self.app.redraw()

    def _data_range(self, scale: XScale) -> Range:
        """All that the axis can show, in the units of the scale."""
        ranges = [data for chart in self.charts if chart.display and (data := chart.data_range) is not None]
        if not ranges:
            return scale.range
        return Range(min(each.low for each in ranges), max(each.high for each in ranges))

    def _move_crosshair(self, columns: int) -> bool:
        """Move the crosshair by columns of the charts; False when it is off."""
        scale, x = self._scale, self.state.crosshair
        if scale is None or x is None:
            return False
        column = (scale.columns - 1 if x > scale.high else 0) if scale.column(x) < 0 else scale.column(x)
        beyond = column + columns
        if self.state.zoom is not None and not 0 <= beyond < scale.columns:
            self._pan_by(_PAN if columns > 0 else -_PAN)
            scale = self._scale or scale
            beyond = (scale.column(x) if scale.column(x) >= 0 else column) + columns
        self._set_crosshair(scale.value_at(min(max(beyond, 0), scale.columns - 1)))
        return True

    def _set_crosshair(self, x: float | None) -> None:
        if x != self.state.crosshair:
            self.state.move_crosshair(x)
            self.app.redraw()
