"""The content of the tabs below the charts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuitrain.tui.text import Line
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.pane import Pane

MakeLines = Callable[[ViewState, int], list[Line]]
"""Makes lines of the state, of so many cells each."""


class TabContent(Pane):
    """Lines of text about the state. follow: whether it stays at its end while it grows."""

    def __init__(self, make: MakeLines, *, id: str, follow: bool = False) -> None:
        super().__init__(id=id)
        self._make = make
        self.follow = follow

    def on_mount(self) -> None:
        if self.follow:
            self.anchor()

    def remake(self) -> None:
        self.draw_state(self.app.state)

    def draw_state(self, state: ViewState) -> None:
        """Show the state."""
        self.show(self._make(state, self.app.size.width - 1))


@dataclass(frozen=True)
class ChartTab:
    """A tab below the charts. content: makes its content, with an `id`; count: how many entries need attention."""

    title: str
    content: Callable[..., TabContent]
    count: Callable[[ViewState], int] | None = None

    def title_for(self, state: ViewState) -> str:
        """The title, with the number of entries that need attention."""
        count = self.count(state) if self.count else 0
        return f"{self.title} {count}" if count else self.title

    @property
    def id(self) -> str:
        """The id of its content, by which a session remembers it."""
        return self.title.lower()
