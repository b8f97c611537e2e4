"""What the screens show: the runs on the screen and the options of the charts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tuitrain.alerts import Rules, watched_history
from tuitrain.alerts.new_alerts import NewAlerts
from tuitrain.analysis.points import Point
from tuitrain.events import Alert
from tuitrain.plots.axes import Range, XAxis
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.plots.series import RunSeries
from tuitrain.runs import RunDirectory, RunSnapshot
from tuitrain.runs.loading import planned_config
from tuitrain.runs.slurm import Job
from tuitrain.runs.updates import Update

if TYPE_CHECKING:
    from tuitrain.remote.sync import Link

SMOOTHINGS = (0.0, 0.6, 0.9, 0.97, 0.99)
FOLLOWING_MARGIN = 0.1
"""The part of a range that follows the end of a run which stays free for new steps."""


@dataclass
class RunView(PlotRun):
    """One run on the screen. problem: why it cannot be read just now."""

    console: tuple[str, ...] = ()
    problem: str = ""
    crash: str = ""
    """Why it crashed, where it did."""
    link: Link | None = None
    """The connection to its machine, where that is another one."""
    job: Job | None = None
    """Its job, while Slurm may start it or go on with it."""
    reading: float | None = None
    """The share of a long log that was read, 0–1; None once all of it was."""

    _widths: dict[str, int] = field(default_factory=dict)
    standing: tuple[Alert, ...] = ()
    """What is wrong at this moment and no record says."""
    _alerts: NewAlerts = field(default_factory=NewAlerts)

    @property
    def alerts(self) -> Sequence[tuple[Alert, int | None]]:
        return (*super().alerts, *((alert, alert.step) for alert in self.standing))

    def blanks_after(self, name: str, text: str) -> str:
        """Blanks that give a changing text the width of its longest form so far: what stands beside it stands still."""
        longest = self._widths[name] = max(self._widths.get(name, 0), len(text))
        return " " * (longest - len(text))

    def absorb(self, update: Update) -> list[Alert]:
        """Apply what the feed read of the run; a log that was replaced starts a new history.

        Returns the alerts that came since the log was read to its end once.
        """
        batch, loaded = update.batch, self.loaded
        known = 0 if batch.reset else len(self.history.alerts)
        if batch.reset:
            self.history = self.history.anew()
            self.series = RunSeries(self.history)
        self.history.absorb(batch.records, batch.broken)
        self.loaded = self.loaded or not batch.more
        self.reading = min(batch.end / batch.size, 0.99) if batch.more and batch.size else None
        self.status, self.console, self.problem = update.status, update.console, update.problem
        self.crash, self.link, self.job = update.crash, update.link, update.job
        if self.loaded and not loaded and self.history.run is None and self.directory is not None:
            self.history.planned = planned_config(self.directory)
        if self.loaded:
            # The status is on the screen: that a run has ended well is no news.
            standing = self.history.standing_alerts(self.status, time.time(), update.crash)
            self.standing = tuple(alert for alert in standing if alert.level != "info")
        new = self._alerts.add(self.history.alerts[known:], self.standing)
        return new if loaded else []


Option = Literal["log", "log_x", "clip", "recent"]
"""The options of charts that are on or off."""


@dataclass
class ViewState(PlotRequest):
    """All that the screens show: the runs, the one in focus, the options of the charts, the list of runs.

    Handlers of keys, clicks and messages change it; drawing never does.
    """

    runs: list[RunView] = field(default_factory=list)
    x: XAxis = "step"
    rules: Rules = field(default_factory=Rules)
    """Of the alerts."""
    at: Point | None = None
    """The point at which runs are compared; None is the end of each."""
    zoom_follows: bool = False
    """Whether the zoomed part of the axis moves with the end of the run."""
    snapshots: tuple[RunSnapshot, ...] | None = None
    hosts: tuple[tuple[str, str], ...] = ()
    """Other machines whose runs are not in the list, or not as they are now, each with the reason."""
    silent_s: float = 0.0
    """For how long the files of the runs have not answered; 0 where they do."""
    marked: list[str] = field(default_factory=list)
    """Ids of the runs marked in the list, in the order of marking, which is that of their colours and glyphs."""
    generation: int = 0
    """Counts the changes of what the charts show the data of: their axes are chosen anew after each."""

    @property
    def run(self) -> RunView | None:
        """The run in focus."""
        return self.runs[self.focused] if self.runs else None

    def show_runs(self, runs: Sequence[RunDirectory], stream: bool = False) -> None:
        """Replace the runs on the screen; stream: also the run that is read from standard input."""
        directories = [*runs, *([None] if stream else [])]
        self.runs = [RunView(index, run, watched_history(self.rules)) for index, run in enumerate(directories)]
        self.focused = 0
        self.baseline = min(self.baseline, max(len(self.runs) - 1, 0))
        self.at = None
        self.reset_axes()

    def reset_axes(self) -> None:
        """Let the charts choose their axes anew."""
        self.generation += 1

    def focus_next(self, by: int) -> None:
        """Move the focus by so many runs; after the last run comes the first."""
        self.focused = (self.focused + by) % len(self.runs)

    def toggle_mark(self, run_id: str) -> None:
        """Mark a run, or remove its mark."""
        others = [each for each in self.marked if each != run_id]
        self.marked = others if run_id in self.marked else [*others, run_id]

    def list_runs(self, snapshots: tuple[RunSnapshot, ...], hosts: tuple[tuple[str, str], ...] = ()) -> None:
        """Replace the snapshots of the list of runs, and what is wrong with which other machine."""
        self.snapshots, self.hosts = snapshots, hosts

    def set_silence(self, seconds: float) -> None:
        """Set for how long the files of the runs have not answered."""
        self.silent_s = seconds

    def mark(self, run_ids: Sequence[str]) -> None:
        """Mark these runs in the list and no others."""
        self.marked = list(run_ids)

    def compare_with(self, baseline: int) -> None:
        """Make the run with this index the baseline; past the last one, the first."""
        self.baseline = baseline % max(len(self.runs), 1)

    def compare_at(self, point: Point | None) -> None:
        """Compare the runs at this point, or where each reached this loss; None: at the end of each."""
        self.at = point

    def move_crosshair(self, x: float | None) -> None:
        """Move the crosshair to an x; None hides it."""
        self.crosshair = x

    def set_group_by(self, key: str) -> None:
        """Group the runs by the values of a configuration key or by `tag`; empty: not at all."""
        self.group_by = key
        self.reset_axes()

    def set_axis(self, axis: XAxis) -> None:
        """Show the runs over this axis; over another one than before all of it."""
        if axis != self.x:
            self.x, self.zoom, self.crosshair = axis, None, None

    def next_axis(self, axes: Sequence[XAxis]) -> None:
        """The next of these axes over which there is anything to show: a log without FLOPs has nothing over them."""
        position = axes.index(self.x) if self.x in axes else -1
        following = (*axes[position + 1 :], *axes[: position + 1])
        self.x = next((axis for axis in following if self.newest_x(axis) is not None), following[0])
        self.zoom = self.crosshair = None

    def next_smoothing(self) -> None:
        """The next weight of the moving average; after the largest comes none."""
        self.smoothing = next((weight for weight in SMOOTHINGS if weight > self.smoothing), SMOOTHINGS[0])

    def toggle(self, option: Option) -> None:
        """Turn an option of the charts on or off."""
        setattr(self, option, not getattr(self, option))

    def show_range(self, shown: Range | None) -> None:
        """Zoom into a part of the horizontal axis; None: show all of it."""
        newest = self.newest_x()
        self.zoom = shown
        self.zoom_follows = shown is not None and newest is not None and shown.low < newest <= shown.high

    def follow_newest(self) -> None:
        """Keep the end of a live run visible where it was when the range was chosen; the range moves by steps."""
        newest = self.newest_x() if self.zoom is not None and self.zoom_follows else None
        if self.zoom is not None and newest is not None and newest > self.zoom.high:
            span = self.zoom.high - self.zoom.low
            self.zoom = Range(newest - (1 - FOLLOWING_MARGIN) * span, newest + FOLLOWING_MARGIN * span)

    def step_back(self) -> bool:
        """Leave the crosshair, else the part of the axis that is zoomed in; False when there is neither."""
        if self.crosshair is not None:
            self.crosshair = None
            return True
        zoomed, self.zoom = self.zoom is not None, None
        return zoomed
