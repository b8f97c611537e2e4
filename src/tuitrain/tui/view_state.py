"""What the screens show: the runs on the screen and how they are looked at. Only the app's handlers write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tuitrain.events import Step
from tuitrain.plots.axes import Range, XAxis
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.plots.series import Detail, Part, RunSeries
from tuitrain.runs import Batch, RunHistory, RunSnapshot

SMOOTHINGS = (0.0, 0.6, 0.9, 0.97, 0.99)
DETAIL_BYTES = 512 << 20
"""The largest part of a log that is read again to show all of its rows."""
CLOSE_BYTES = 32 << 20
"""A part up to this size is read with as much again on both sides, so that a small move needs no further reading."""


@dataclass
class RunView(PlotRun):
    """One run on the screen. problem: why it cannot be read just now."""

    console: tuple[str, ...] = ()
    problem: str = ""
    loading: float | None = None
    """How much of a long log was read, 0–1; until then `history` is its newest part alone, and charts have both."""

    _widths: dict[str, int] = field(default_factory=dict)

    def blanks_after(self, name: str, text: str) -> str:
        """Blanks that give a changing text the width of its longest form so far: what stands beside it stands still."""
        longest = self._widths[name] = max(self._widths.get(name, 0), len(text))
        return " " * (longest - len(text))

    def start_again(self) -> None:
        """Know nothing of the run any more, as when its log was replaced."""
        self.history = RunHistory()
        self.series, self.loading = RunSeries(self.history), None

    def show_newest(self, newest: RunHistory) -> None:
        """Show the newest part of a log while all of it is being read."""
        self.history, self.loading = newest, 0.0
        self.series = RunSeries(RunHistory(), ahead=RunSeries(newest))

    def absorb(self, batch: Batch, smoothings: Sequence[float]) -> None:
        """Take in further records of the log, read from its beginning."""
        read = self.series.history
        step = next((record.step for record in batch.records if isinstance(record, Step)), None)
        if step is not None:
            self.series.note_offset(batch.start, batch.end, step)
        read.absorb(batch.records, batch.broken)
        self.series.thin(smoothings)

    def part_wanted(self, axis: XAxis, zoom: Range | None) -> Part | None:
        """The part of the log to be read again so that charts zoomed into thinned history show all of its rows."""
        all_series = self.series
        if all_series.thinned_until is None:
            return None
        low, high = (0.0, 0.0) if zoom is None else (all_series.steps_at(axis, x) for x in (zoom.low, zoom.high))
        if all_series.detail is not None and not all_series.detail.low <= low < high <= all_series.detail.high:
            all_series.detail = None
        if zoom is None or all_series.detail is not None or low > all_series.thinned_until:
            return None
        for margin, largest in ((high - low, CLOSE_BYTES), (0.0, DETAIL_BYTES)):
            start, end = all_series.bytes_of(low - margin, high + margin)
            if end - start <= largest:
                return Part(low - margin, high + margin, start, end)
        return None

    def show_closely(self, part: Part, all_series: RunSeries) -> None:
        """Show this part with all its rows while it is what charts are zoomed into."""
        all_series.history.attempts = all_series.history.attempts or self.series.history.attempts
        self.series.detail = Detail(part.low, part.high, all_series)

    def loaded_to(self, share: float | None) -> None:
        """How much of the log was read; None is all of it, and the charts and the rest show the same again."""
        self.loading = share
        if share is None and self.series.ahead is not None:
            self.series.ahead, self.history = None, self.series.history


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
