"""What the screens show: the runs on the screen and how they are looked at. Only the app's handlers write it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.plots.series import RunSeries
from tuitrain.runs import RunHistory, RunSnapshot
from tuitrain.tui.source import Update

SMOOTHINGS = (0.0, 0.6, 0.9, 0.97, 0.99)


@dataclass
class RunView(PlotRun):
    """One run on the screen. problem: why it cannot be read just now."""

    console: tuple[str, ...] = ()
    problem: str = ""
    reading: float | None = None
    """The share of a long log that was read, 0–1; None once all of it was."""

    _widths: dict[str, int] = field(default_factory=dict)

    def blanks_after(self, name: str, text: str) -> str:
        """Blanks that give a changing text the width of its longest form so far: what stands beside it stands still."""
        longest = self._widths[name] = max(self._widths.get(name, 0), len(text))
        return " " * (longest - len(text))

    def absorb(self, update: Update) -> None:
        """Apply what the feed read of the run; a log that was replaced starts a new history."""
        batch = update.batch
        if batch.reset:
            self.history = RunHistory()
            self.series = RunSeries(self.history)
        self.history.absorb(batch.records, batch.broken)
        self.loaded = self.loaded or not batch.more
        self.reading = min(batch.end / batch.size, 0.99) if batch.more and batch.size else None
        self.status, self.console, self.problem = update.status, update.console, update.problem


@dataclass
class ViewState(PlotRequest):
    """All that the screens show: the runs, the one in focus, the options of the charts, the list of runs."""

    runs: list[RunView] = field(default_factory=list)
    zoom_follows: bool = False
    """Whether the zoomed part of the axis moves with the end of the run."""
    snapshots: tuple[RunSnapshot, ...] | None = None
    marked: list[str] = field(default_factory=list)
    """Ids of the runs marked in the list, in the order of marking, which is that of their colours and glyphs."""

    @property
    def run(self) -> RunView | None:
        """The run in focus."""
        return self.runs[self.focused] if self.runs else None
