"""What all screens have in common: two lines of header, a body, the keys; nothing is drawn that is out of sight.

A screen is a BaseScreen. It yields its widgets from `compose_body` and shows the state in them in `draw_body`, which
changes nothing else. The app publishes `state_changed`; an action changes the state through the methods of ViewState
and calls `self.app.redraw()`. Charts come as one widget, `Dashboard`, which has the focus and so its own keys.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import ActiveBinding
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from tuitrain.runs import RunDirectory
from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.content.headline import header, silence_line
from tuitrain.tui.registry import ScreenName, Scroll, withheld_keys
from tuitrain.tui.text import Line, fit
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.key_bar import MENU, READ_ONLY, KeyBar, fitting
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from tuitrain.tui.screens.run_actions import RunActions

T = TypeVar("T")


class BaseScreen(Screen[None]):
    """Header, body and keys of the screen `screen_name`."""

    screen_name: ClassVar[ScreenName]
    draws_by_size: ClassVar[bool] = True
    """Whether `draw_body` asks widgets for their sizes, so that it is called again once they have them."""
    app: BaseApp

    def __init__(self) -> None:
        super().__init__()
        self._laid_out: Size | None = None

    def compose(self) -> ComposeResult:
        yield Lines(id="header")
        yield from self.compose_body()
        yield KeyBar(self.screen_name)

    def compose_body(self) -> Iterable[Widget]:
        """The widgets between header and foot; none unless a screen has some."""
        return ()

    def header_lines(self, cells: int) -> list[Line]:
        """The two lines at the top: by default the run in focus."""
        return header(self.state, cells)

    def draw_body(self, cells: int) -> None:
        """Show the state in the widgets of the body, on a terminal `cells` wide."""

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The keys of the screen; those that the footer has room for are shown."""
        room = self.app.size.width - len(MENU) - 1 - (len(READ_ONLY) if self.app.settings.readonly else 0)
        return fitting(super().active_bindings, self.app.actions, room, isinstance(self.focused, Input))

    @property
    def state(self) -> ViewState:
        return self.app.state

    def current_run(self) -> RunDirectory | None:
        """The run in focus or under the cursor; None where there is none, or it has no directory."""
        return self.state.run.directory if self.state.run is not None else None

    def selected_runs(self) -> list[RunDirectory]:
        """The runs that actions are for: by default the current one."""
        run = self.current_run()
        return [run] if run is not None else []

    def copied_value(self) -> tuple[str, str | None] | None:
        """Name and text of what `copy` copies, None for a text that is not known; None for nothing."""
        run = self.current_run()
        return ("the id of the run", run.run_id) if run is not None else None

    def on_mount(self) -> None:
        self.app.state_changed.subscribe(self, lambda _: self.draw(), immediate=True)

    def on_resize(self, event: events.Resize) -> None:
        if self.app.size != self._laid_out:
            self.lay_out()

    def on_screen_resume(self) -> None:
        self.lay_out()

    def lay_out(self) -> None:
        """Share the screen among the widgets, then draw all that is visible."""
        self._laid_out = self.app.size
        self.refresh_bindings()
        if self.draws_by_size:
            self.call_after_refresh(self.draw)
        self.draw()

    def draw(self) -> None:
        """Draw what is visible from the state. What did not change sends nothing to the terminal."""
        if not self.is_mounted or not self.is_current or not self.app.is_running:
            return
        cells = self.app.size.width
        with self.app.batch_update():
            lines = self.header_lines(cells)
            if self.state.silent_s:
                lines[1] = silence_line(self.state.silent_s)
            self.query_one("#header", Lines).show([fit(each, cells) for each in lines])
            self.draw_body(cells)
            self.query_one(KeyBar).draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the app does not allow, such as acting on a run while only reading, no key or click does."""
        return self.app.check_action(action, parameters)

    def on_key(self, event: events.Key) -> None:
        settings = self.app.settings
        if settings.readonly and event.key in withheld_keys(self.screen_name, settings.keys):
            self.app.notify("Nothing is done: this dashboard is read-only.")

    @cached_property
    def run_actions(self) -> RunActions:
        """The actions on runs. Imported with the first one: the first frame does not wait for the launcher."""
        from tuitrain.tui.screens.run_actions import RunActions

        return RunActions(self.app)

    def _on_selected(self, act: Callable[[list[RunDirectory]], Awaitable[None]]) -> None:
        """Start an action on the selected runs, or say why there are none."""
        if runs := self.selected_runs():
            self.run_actions.run(partial(act, runs))
            return
        reason = "it is read from standard input" if self.state.run else "none is selected"
        self.app.notify(f"This screen has no run for that: {reason}.", severity="error")

    def action_request(self, request: str) -> None:
        """Send a request to the selected runs; `pause` lets runs that are paused go on."""
        self._on_selected(partial(self.run_actions.request, request=request))

    def action_edit_tags(self) -> None:
        self._on_selected(self.run_actions.edit_tags)

    def action_edit_note(self) -> None:
        self._on_selected(self.run_actions.add_note)

    def action_audit_run(self) -> None:
        self._on_selected(self.run_actions.audit)

    def action_copy_value(self) -> None:
        if (value := self.copied_value()) is None:
            self.app.notify("There is nothing to copy here.", severity="error")
        else:
            self.run_actions.copy(*value)

    def action_back(self) -> None:
        self.app.show_screen("watch" if self.state.runs else "runs")

    def scrolled(self) -> Iterable[Widget]:
        """The widgets that the keys scroll."""
        return self.query(Pane)

    def action_scroll(self, to: Scroll) -> None:
        """Scroll the body."""
        for widget in self.scrolled():
            getattr(widget, f"scroll_{to}")(animate=False)


def moved(items: Sequence[T], item: T, by: int) -> T:
    """The item that is `by` positions after this one, or the first or last; the first where it is not among them."""
    if item not in items:
        return items[0] if items else item
    return items[max(0, min(items.index(item) + by, len(items) - 1))]
