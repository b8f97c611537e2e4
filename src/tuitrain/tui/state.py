"""What the screens show: the runs on the screen and how they are looked at. Only the app's handlers write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tuitrain.events import Step
from tuitrain.events.text import clean
from tuitrain.runs import Batch, Glance, RunDirectory, RunHistory, Status
from tuitrain.tui.charts.axes import Range, XAxis
from tuitrain.tui.tracks import Detail, Part, Tracks

SMOOTHINGS = (0.0, 0.6, 0.9, 0.97, 0.99)
DETAIL_BYTES = 512 << 20
"""The largest part of a log that is read again to show all of its rows."""
CLOSE_BYTES = 32 << 20
"""A part up to this size is read with as much again on both sides, so that a small move needs no further reading."""


@dataclass
class RunView:
    """One run on the screen. index: its colour and glyph; problem: why it cannot be read just now."""

    index: int
    directory: RunDirectory | None = None
    history: RunHistory = field(default_factory=RunHistory)
    tracks: Tracks = field(init=False)
    status: Status = Status.UNKNOWN
    console: tuple[str, ...] = ()
    problem: str = ""
    loaded: bool = False
    """Whether the log has been read to its end at least once."""
    loading: float | None = None
    """How much of a long log was read, 0–1; until then `history` is its newest part alone, and charts have both."""

    _widths: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tracks = Tracks(self.history)

    def blanks_after(self, name: str, text: str) -> str:
        """Blanks that give a changing text the width of its longest form so far: what stands beside it stands still."""
        longest = self._widths[name] = max(self._widths.get(name, 0), len(text))
        return " " * (longest - len(text))

    def start_again(self) -> None:
        """Know nothing of the run any more, as when its log was replaced."""
        self.history = RunHistory()
        self.tracks, self.loading = Tracks(self.history), None

    def show_newest(self, newest: RunHistory) -> None:
        """Show the newest part of a log while all of it is being read."""
        self.history, self.loading = newest, 0.0
        self.tracks = Tracks(RunHistory(), ahead=Tracks(newest))

    def absorb(self, batch: Batch, smoothings: Sequence[float]) -> None:
        """Take in further records of the log, read from its beginning."""
        read = self.tracks.history
        step = next((record.step for record in batch.records if isinstance(record, Step)), None)
        if step is not None:
            self.tracks.note_offset(batch.start, batch.end, step)
        read.absorb(batch.records, batch.broken)
        self.tracks.thin(smoothings)

    def part_wanted(self, axis: XAxis, zoom: Range | None) -> Part | None:
        """The part of the log to be read again so that charts zoomed into thinned history show all of its rows."""
        tracks = self.tracks
        if tracks.thinned_until is None:
            return None
        low, high = (0.0, 0.0) if zoom is None else (tracks.steps_at(axis, x) for x in (zoom.low, zoom.high))
        if tracks.detail is not None and not tracks.detail.low <= low < high <= tracks.detail.high:
            tracks.detail = None
        if zoom is None or tracks.detail is not None or low > tracks.thinned_until:
            return None
        for margin, largest in ((high - low, CLOSE_BYTES), (0.0, DETAIL_BYTES)):
            start, end = tracks.bytes_of(low - margin, high + margin)
            if end - start <= largest:
                return Part(low - margin, high + margin, start, end)
        return None

    def show_closely(self, part: Part, tracks: Tracks) -> None:
        """Show this part with all its rows while it is what charts are zoomed into."""
        tracks.history.attempts = tracks.history.attempts or self.tracks.history.attempts
        self.tracks.detail = Detail(part.low, part.high, tracks)

    def loaded_to(self, share: float | None) -> None:
        """How much of the log was read; None is all of it, and the charts and the rest show the same again."""
        self.loading = share
        if share is None and self.tracks.ahead is not None:
            self.tracks.ahead, self.history = None, self.tracks.history

    @property
    def run_id(self) -> str:
        """The run's id, from its log or from its directory, as it is shown."""
        if self.history.run is not None:
            return clean(self.history.run.run_id)
        return clean(self.directory.run_id) if self.directory else "standard input"

    @property
    def name(self) -> str:
        """The short name, or the id."""
        return clean(self.history.run.name if self.history.run is not None else self.run_id)

    @property
    def tail_of_id(self) -> str:
        """The last part of the id, which tells runs of one name apart."""
        return self.run_id.rpartition("-")[2]


@dataclass
class Board:
    """All that is shown: the runs, the one in focus, and the settings that the charts share."""

    views: list[RunView] = field(default_factory=list)
    focused: int = 0
    baseline: int = 0
    group_by: str = ""
    """The configuration key, or `tag`, whose values make groups of the compared runs; empty: each for itself."""
    x: XAxis = "step"
    smoothing: float = 0.9
    log: bool = False
    """Whether the vertical axes are logarithmic."""
    log_x: bool = False
    clip: bool = True
    """Whether outliers are left out of the vertical range."""
    recent: bool = False
    """Whether charts with room for it show the newest part beside the whole history."""
    zoom: Range | None = None
    """The part of the horizontal axis that is shown, in its units; None is all of it."""
    zoom_follows: bool = False
    """Whether that part moves with the end of the run."""
    crosshair: float | None = None
    """A place on the horizontal axis at which all charts show exact values."""
    glances: tuple[Glance, ...] | None = None
    marked: list[str] = field(default_factory=list)
    """Ids of the runs marked in the list, in the order of marking, which is that of their colours and glyphs."""

    @property
    def view(self) -> RunView | None:
        """The run in focus."""
        return self.views[self.focused] if self.views else None


def names(views: list[RunView]) -> list[str]:
    """A name for each run that no other run here has."""
    plain = [view.name for view in views]
    return [
        name if plain.count(name) == 1 else f"{name} · {view.tail_of_id}"
        for name, view in zip(plain, views, strict=True)
    ]
