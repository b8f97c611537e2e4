"""The runs of the charts, the one in focus, and the options that all charts share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tuitrain.alerts import load_rules, watched_history
from tuitrain.events import Alert
from tuitrain.plots.axes import PlotAxis, Range
from tuitrain.plots.series import RunSeries
from tuitrain.runs import RunDirectory, RunHistory, Status, load_history, read_snapshot
from tuitrain.text import clean


@dataclass
class PlotRun:
    """One run of a chart. index: of its colour and glyph."""

    index: int
    directory: RunDirectory | None = None
    history: RunHistory = field(default_factory=RunHistory)
    status: Status = Status.UNKNOWN
    loaded: bool = False
    """Whether the log has been read to its end at least once."""
    label: str = ""
    """A name to show in place of the one in the log."""
    series: RunSeries = field(init=False)

    def __post_init__(self) -> None:
        self.series = RunSeries(self.history)

    @property
    def alerts(self) -> Sequence[tuple[Alert, int | None]]:
        """The alerts in the order of the log, each with its step."""
        return tuple(zip(self.history.alerts, self.history.alert_steps, strict=True))

    @property
    def run_id(self) -> str:
        """The run's id, from its log or from its directory, without control characters."""
        if self.history.run is not None:
            return clean(self.history.run.run_id)
        return clean(self.directory.run_id) if self.directory else "standard input"

    @property
    def name(self) -> str:
        """The label, or the short name, or the id."""
        return clean(self.label or (self.history.run.name if self.history.run is not None else self.run_id))

    @property
    def tail_of_id(self) -> str:
        """The last part of the id, which tells runs of one name apart."""
        return self.run_id.rpartition("-")[2]


def read_plot_run(directory: RunDirectory, index: int = 0, history: RunHistory | None = None) -> PlotRun:
    """A run with all that its log says now, read unless it is given, alerts included. Raises FileNotFoundError."""
    status = read_snapshot(directory).status
    history = history or load_history(directory, watched_history(load_rules()))
    return PlotRun(index, directory, history, status, loaded=True)


@dataclass
class PlotRequest:
    """The runs of the charts and how they are shown."""

    runs: Sequence[PlotRun] = ()
    focused: int = 0
    """Index of the run in focus."""
    baseline: int = 0
    """Index of the run that others are compared with."""
    group_by: str = ""
    """The configuration key, or `tag`, whose values make groups of the runs; empty: each run by itself."""
    usd_per_gpu_hour: float | None = None
    """The price of the costs in comparisons."""
    x: PlotAxis = "step"
    smoothing: float = 0.9
    """Weight of the moving average, 0 to below 1; 0 shows the values as they are. CENTRED is that of figures."""
    log: bool = False
    """Whether the vertical axes are logarithmic."""
    log_x: bool = False
    clip: bool = True
    """Whether outliers are left out of the vertical range."""
    for_figure: bool = False
    """Whether plots have the notes and names of a figure that stands alone; of the events only alerts and restarts."""
    recent: bool = False
    """Whether charts with room for it show the newest part beside the whole history."""
    zoom: Range | None = None
    """The part of the horizontal axis that is shown, in its units; None is all of it."""
    crosshair: float | None = None
    """The position on the horizontal axis at which all charts show exact values."""

    @property
    def run(self) -> PlotRun | None:
        """The run in focus."""
        return self.runs[self.focused] if self.runs else None

    def newest_x(self, axis: PlotAxis | None = None) -> float | None:
        """The newest step of all runs on an axis, by default that of the charts; None if unknown."""
        ends = [
            float(view.series.x_at(axis or self.x, view.history.steps["step"][-1:])[0])
            for view in self.runs
            if len(view.history.steps)
        ]
        return max((end for end in ends if math.isfinite(end)), default=None)


def run_names(runs: Sequence[PlotRun]) -> list[str]:
    """A name for each run that no other of these has."""
    plain = [run.name for run in runs]
    return [
        name if plain.count(name) == 1 else f"{name} · {run.tail_of_id}" for name, run in zip(plain, runs, strict=True)
    ]
