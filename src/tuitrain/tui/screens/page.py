"""What all screens have in common: a header, a body, the keys, and that nothing is drawn that is out of sight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

from tuitrain.tui.actions import foot, foot_rows, withheld_keys
from tuitrain.tui.content.headline import header
from tuitrain.tui.registry import ScreenName
from tuitrain.tui.text import Line, fit
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from tuitrain.tui.app import TuitrainApp


class PageScreen(Screen[None]):
    """Two lines of header, a body, and the keys. A subclass says what the body is and draws it."""

    DEFAULT_CSS = """
    PageScreen { layout: vertical; overflow: hidden; }
    PageScreen Lines.bar { height: 1; overflow: hidden; }
    PageScreen #header { height: 2; overflow: hidden; }
    PageScreen #foot { height: 1; overflow: hidden; }
    """
    ENABLE_COMMAND_PALETTE = True

    place: ClassVar[ScreenName]

    app: TuitrainApp

    def compose(self) -> ComposeResult:
        yield Lines(id="header")
        yield from self.compose_body()
        yield Lines(id="foot")

    def compose_body(self) -> Iterable[Widget]:
        """The widgets between header and foot."""
        raise NotImplementedError

    def header_lines(self, cells: int) -> list[Line]:
        """The two lines at the top: the run in focus."""
        return header(self.state, cells)

    def draw_body(self, cells: int) -> None:
        """Draw the body from the state."""
        raise NotImplementedError

    @property
    def state(self) -> ViewState:
        """The state, which this screen only reads but for its settings."""
        return self.app.state

    def __init__(self) -> None:
        super().__init__()
        self._laid_out: Size | None = None

    def on_mount(self) -> None:
        self.lay_out()

    def on_resize(self, event: events.Resize) -> None:
        if self.app.size != self._laid_out:
            self.lay_out()

    def on_screen_resume(self) -> None:
        self.lay_out()

    def lay_out(self) -> None:
        """Share the screen among the widgets, then draw all that is in sight."""
        self._laid_out = self.app.size
        self.query_one("#foot").styles.height = foot_rows(self.app.size.height)
        self.call_after_refresh(self.draw)
        self.draw()

    def draw(self) -> None:
        """Draw what is in sight from the state. What did not change sends nothing to the terminal."""
        if not self.is_mounted or not self.is_current:
            return
        cells, rows = self.app.size
        with self.app.batch_update():
            self.query_one("#header", Lines).show([fit(each, cells) for each in self.header_lines(cells)])
            self.draw_body(cells)
            self.query_one("#foot", Lines).show([fit(each, cells) for each in self.foot_lines(cells, rows)])

    def tell(self, sentence: str, *, trouble: bool = False) -> None:
        """Show a sentence for a while, on whatever screen is there by then."""
        self.app.notify(sentence, severity="error" if trouble else "information", timeout=12 if trouble else 6)

    def foot_lines(self, cells: int, rows: int) -> list[Line]:
        """The keys at the foot."""
        return foot(self.place, cells, rows, self.app.actions, self.app.settings.readonly)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the app does not allow, such as acting on a run while only reading, no key or click does."""
        return self.app.check_action(action, parameters)

    def on_key(self, event: events.Key) -> None:
        settings = self.app.settings
        if settings.readonly and event.key in withheld_keys(self.place, settings.keys):
            self.tell("Nothing is done: this dashboard is read-only.")

    def repaint(self) -> None:
        """Draw everything again in new colours."""
        for widget in (*self.query(Lines), *self.query(Pane)):
            widget.repaint()

    def forget_axes(self) -> None:
        """Let charts choose their ranges anew, as for another run."""

    def action_back(self) -> None:
        self.app.show_screen("watch" if self.state.runs else "runs")

    def action_next_run(self) -> None:
        self.app.focus_run(1)

    def action_previous_run(self) -> None:
        self.app.focus_run(-1)

    def scrolled(self) -> Iterable[Widget]:
        """The widgets that the keys scroll."""
        return self.query(Pane)

    def action_page_down(self) -> None:
        for widget in self.scrolled():
            widget.scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        for widget in self.scrolled():
            widget.scroll_page_up(animate=False)

    def action_first(self) -> None:
        for widget in self.scrolled():
            widget.scroll_home(animate=False)

    def action_last(self) -> None:
        for widget in self.scrolled():
            widget.scroll_end(animate=False)

    def action_cursor_down(self) -> None:
        for widget in self.scrolled():
            widget.scroll_down(animate=False)

    def action_cursor_up(self) -> None:
        for widget in self.scrolled():
            widget.scroll_up(animate=False)
