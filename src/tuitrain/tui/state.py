"""What the screens show: the runs on the screen and how they are looked at. Only the app's handlers write it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tuitrain.runs import Glance, RunDirectory, RunHistory, Status
from tuitrain.tui.axes import XAxis
from tuitrain.tui.text import clean

SMOOTHINGS = (0.0, 0.6, 0.9, 0.97, 0.99)


@dataclass
class RunView:
    """One run on the screen. index: its colour and glyph; problem: why it cannot be read just now."""

    index: int
    directory: RunDirectory | None = None
    history: RunHistory = field(default_factory=RunHistory)
    status: Status = Status.UNKNOWN
    console: tuple[str, ...] = ()
    problem: str = ""
    loaded: bool = False
    """Whether the log has been read to its end at least once."""

    @property
    def run_id(self) -> str:
        """The run's id, from its log or from its directory."""
        if self.history.run is not None:
            return self.history.run.run_id
        return self.directory.run_id if self.directory else "standard input"

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
    x: XAxis = "step"
    smoothing: float = 0.9
    log: bool = False
    glances: tuple[Glance, ...] | None = None
    marked: set[str] = field(default_factory=set)
    """Ids of the runs marked in the list."""

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
