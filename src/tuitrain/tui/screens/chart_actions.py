"""What keys and mouse do to charts: axes, smoothing, zoom and pan, the crosshair."""

from __future__ import annotations

import math

from tuitrain.plots.axes import X_AXES, Range, XAxis
from tuitrain.plots.limits import SMALLEST_SHARE
from tuitrain.plots.x_scale import XScale
from tuitrain.tui.screens.page import PageScreen
from tuitrain.tui.view_state import SMOOTHINGS
from tuitrain.tui.widgets.chart import Chart

_ZOOM = 0.5
"""What one key press leaves in sight."""
_PAN = 0.25
"""How far one key press moves, as a share of what is in sight."""
_FOLLOWING_ROOM = 0.1
"""The part of a range that follows the end of a run which stays free for what comes."""
_JUMP = 10
"""Columns that the crosshair moves with shift."""


class ChartActions(PageScreen):
    """The part of a screen with charts that changes how they are looked at: the settings on the state."""

    focus_index: int = 0
    """Which chart is in focus."""

    @property
    def charts(self) -> list[Chart]:
        """All charts in their order."""
        raise NotImplementedError

    def move_focus(self, columns: int, rows: int) -> None:
        """Go to a panel beside, below or above the one in focus."""
        raise NotImplementedError

    def draw(self) -> None:
        self._follow_end()
        super().draw()

    def action_cycle_axis(self) -> None:
        state = self.state
        now = X_AXES.index(state.x)
        following = (*X_AXES[now + 1 :], *X_AXES[: now + 1])
        # A log without FLOPs, say, has nothing to show over them.
        state.x = next((axis for axis in following if self._end(axis) is not None), following[0])
        state.zoom = state.crosshair = None
        self.draw()

    def action_cycle_smoothing(self) -> None:
        state = self.state
        state.smoothing = next((weight for weight in SMOOTHINGS if weight > state.smoothing), SMOOTHINGS[0])
        self.draw()

    def action_toggle_log(self) -> None:
        self.state.log = not self.state.log
        self.draw()

    def action_toggle_log_x(self) -> None:
        self.state.log_x = not self.state.log_x
        self.draw()

    def action_toggle_clip(self) -> None:
        self.state.clip = not self.state.clip
        self.draw()

    def action_toggle_recent(self) -> None:
        self.state.recent = not self.state.recent
        self.draw()

    def action_go_right(self) -> None:
        if not self._move_crosshair(1):
            self.move_focus(1, 0)

    def action_go_left(self) -> None:
        if not self._move_crosshair(-1):
            self.move_focus(-1, 0)

    def action_focus_below(self) -> None:
        self.move_focus(0, 1)

    def action_focus_above(self) -> None:
        self.move_focus(0, -1)

    def action_crosshair(self) -> None:
        """Exact values at the newest point in sight, or none any more."""
        state, scale = self.state, self._scale
        if state.crosshair is not None:
            state.crosshair = None
        elif scale is not None:
            end = self._end()
            state.crosshair = min(scale.high, scale.high if end is None else end)
        self.draw()

    def action_step_back(self) -> None:
        """Out of the crosshair, else out of the part of the axis that is zoomed in."""
        if self.state.crosshair is not None:
            self.state.crosshair = None
        else:
            self.state.zoom = None
        self.draw()

    def action_back(self) -> None:
        if self.state.crosshair is None and self.state.zoom is None:
            super().action_back()
        else:
            self.action_step_back()

    def action_zoom_in(self) -> None:
        self._zoom_by(_ZOOM)

    def action_zoom_out(self) -> None:
        self._zoom_by(1 / _ZOOM)

    def action_pan_left(self) -> None:
        if not self._move_crosshair(-_JUMP):
            self._pan_by(-_PAN)

    def action_pan_right(self) -> None:
        if not self._move_crosshair(_JUMP):
            self._pan_by(_PAN)

    def action_whole_range(self) -> None:
        self.state.zoom = None
        self.draw()

    def on_chart_zoomed(self, event: Chart.Zoomed) -> None:
        if event.chart.areas:
            self._zoom_by(event.factor, event.at, event.chart.areas[0].scale)

    def on_chart_dragged(self, event: Chart.Dragged) -> None:
        if event.chart.areas:
            self._pan_by(-event.columns / event.chart.areas[0].scale.columns)

    def on_chart_pointed(self, event: Chart.Pointed) -> None:
        if self.state.crosshair is not None:
            self._place_crosshair(event.at)

    @property
    def _scale(self) -> XScale | None:
        """The horizontal axis as the chart in focus shows it; where that has none, any other."""
        charts = self.charts
        ranked = [*charts[self.focus_index : self.focus_index + 1], *charts]
        return next((each.areas[0].scale for each in ranked if each.display and each.areas), None)

    def _end(self, axis: XAxis | None = None) -> float | None:
        """The place of the newest step of all runs on an axis, that of the charts if not said; None if unknown."""
        ends = [
            float(view.series.place(axis or self.state.x, view.history.steps["step"][-1:])[0])
            for view in self.state.runs
            if len(view.history.steps)
        ]
        return max((end for end in ends if math.isfinite(end)), default=None)

    def _zoom_by(self, factor: float, around: float | None = None, scale: XScale | None = None) -> None:
        """Show this part of what is in sight, around a place: the crosshair, the newest point in sight, the middle."""
        scale = scale or self._scale
        if scale is None:
            return
        places = (around, self.state.crosshair, self._end())
        around = next((at for at in places if at is not None and scale.low < at <= scale.high), None)
        low, high = scale.range.low, scale.range.high
        middle = (low + high) / 2 if around is None else scale.position(around)
        self._show(scale, middle - (middle - low) * factor, middle + (high - middle) * factor)

    def _pan_by(self, share: float) -> None:
        """Move by a share of what is in sight. All of the axis cannot be moved."""
        scale = self._scale
        if scale is None or self.state.zoom is None:
            return
        by = share * (scale.range.high - scale.range.low)
        self._show(scale, scale.range.low + by, scale.range.high + by)

    def _show(self, scale: XScale, low: float, high: float) -> None:
        """Put a range in sight, given as the axis holds it, within what there is; all there is ends the zoom."""
        whole = self._whole(scale)
        span = high - low
        if span >= whole.high - whole.low:
            self.state.zoom = None
            self.draw()
            return
        low = min(max(low, whole.low), whole.high - span)
        ends = (10**low, 10 ** (low + span)) if scale.log else (low, low + span)
        if ends[1] - ends[0] > SMALLEST_SHARE * max(abs(ends[0]), abs(ends[1])):
            end = self._end()
            self.state.zoom = Range(*ends)
            self.state.zoom_follows = end is not None and ends[0] < end <= ends[1]
        self.draw()

    def _whole(self, scale: XScale) -> Range:
        """All that the axis can show, as the axis holds it."""
        drawn = [each for each in self.charts if each.display and each.whole is not None]
        ranges = [each.whole for each in drawn if each.whole is not None]
        if not ranges:
            return scale.range
        low, high = min(each.low for each in ranges), max(each.high for each in ranges)
        return Range(low, high)

    def _follow_end(self) -> None:
        """Keep the end of a live run in sight where it was when the range was chosen; the range moves by steps."""
        state = self.state
        if state.zoom is None or not state.zoom_follows:
            return
        end = self._end()
        if end is not None and end > state.zoom.high:
            span = state.zoom.high - state.zoom.low
            state.zoom = Range(end - (1 - _FOLLOWING_ROOM) * span, end + _FOLLOWING_ROOM * span)

    def _move_crosshair(self, columns: int) -> bool:
        """Move the crosshair by columns of the charts; False when it is off."""
        scale, at = self._scale, self.state.crosshair
        if scale is None or at is None:
            return False
        column = (scale.columns - 1 if at > scale.high else 0) if scale.column(at) < 0 else scale.column(at)
        beyond = column + columns
        if self.state.zoom is not None and not 0 <= beyond < scale.columns:
            self._pan_by(_PAN if columns > 0 else -_PAN)
            scale = self._scale or scale
            beyond = (scale.column(at) if scale.column(at) >= 0 else column) + columns
        self._place_crosshair(scale.value_at(min(max(beyond, 0), scale.columns - 1)))
        return True

    def _place_crosshair(self, at: float) -> None:
        if at != self.state.crosshair:
            self.state.crosshair = at
            self.draw()
