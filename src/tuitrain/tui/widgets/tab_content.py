"""The content of the tabs below the charts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tuitrain.tui.text import Line
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.lines import Lines


class TabContent(VerticalScroll, can_focus=False):
    """The content of one tab. follow: whether it stays at its end while it grows."""

    def __init__(self, id: str, *, follow: bool = False) -> None:
        super().__init__(id=id)
        self.follow = follow

    def on_mount(self) -> None:
        if self.follow:
            self.anchor()

    def draw_state(self, state: ViewState) -> None:
        """Show the state; nothing unless a subclass shows something."""


class LinesTab(TabContent):
    """Lines of text, made of the state and the cells of a line."""

    def __init__(self, make: Callable[[ViewState, int], list[Line]], id: str, *, follow: bool = False) -> None:
        super().__init__(id, follow=follow)
        self._make = make
        self._lines = Lines(grows=True)

    def compose(self) -> ComposeResult:
        yield self._lines

    def draw_state(self, state: ViewState) -> None:
        self._lines.show(self._make(state, self.app.size.width - 1))


@dataclass(frozen=True)
class ChartTab:
    """A tab below the charts. count: how many of its entries need attention."""

    id: str
    title: str
    content: Callable[[], TabContent]
    count: Callable[[ViewState], int] | None = None

    def title_for(self, state: ViewState) -> str:
        """The title, with the number of entries that need attention."""
        count = self.count(state) if self.count else 0
        return f"{self.title} {count}" if count else self.title
