"""The Textual application: it owns the state and the feed, and shows one screen at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from textual.app import App
from textual.screen import Screen
from textual.theme import Theme

from tuitrain.runs import Follower, RunDirectory, RunHistory, come_back_command
from tuitrain.tui.axes import X_AXES, XAxis
from tuitrain.tui.feed import Arrived, Feed, Listed, Troubled, Update
from tuitrain.tui.state import Board, RunView
from tuitrain.tui.theme import DARK, LIGHT, Palette, palette_of

ScreenName = Literal["watch", "runs", "compare"]
REDRAW_S = 1.0


def _provider() -> Any:
    from tuitrain.tui.palette_commands import ActionProvider

    return ActionProvider


class TuitrainApp(App[None]):
    """Everything a screen shows comes from `board`, which only the handlers of the feed's messages fill."""

    COMMANDS: ClassVar = {_provider}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    TITLE = "tuitrain"

    def __init__(
        self,
        screen: ScreenName,
        runs: Sequence[RunDirectory],
        runs_dir: Path,
        *,
        stream: Follower | None = None,
        x: XAxis = "step",
        baseline: int = 0,
    ) -> None:
        super().__init__()
        self.theme = DARK
        self.palette: Palette = palette_of(self.current_theme)
        self.runs_dir = _home(runs, runs_dir)
        self.board = Board(x=x, baseline=baseline)
        self.feed = Feed(self.post_message)
        self._first = screen
        self._generation = 0
        self._screens: dict[str, Screen[None]] = {}
        self._drawn_at = 0.0
        self._redraw_pending = False
        self._follow(runs, stream)

    def on_mount(self) -> None:
        self.palette = palette_of(self.current_theme)
        self.theme_changed_signal.subscribe(self, self._on_theme)
        self.push_screen(self._screen(self._first))
        self.feed.start()

    def on_unmount(self) -> None:
        self.feed.stop()

    def _screen(self, name: str) -> Screen[None]:
        """The screen of this name, made when it is first asked for."""
        if name not in self._screens:
            self._screens[name] = _make_screen(name)
            # Installed screens stay alive while another one is shown.
            self.install_screen(self._screens[name], name)
        return self._screens[name]

    def show_screen(self, name: ScreenName) -> None:
        """Go to a screen."""
        wanted = self._screen(name)
        if self.screen is not wanted:
            self.switch_screen(wanted)

    def open_runs(self, runs: Sequence[RunDirectory], screen: ScreenName) -> None:
        """Show these runs in place of the present ones."""
        if [view.directory for view in self.board.views] != list(runs):
            self._follow(runs, None)
            self._forget_axes()
        self.show_screen(screen)

    def focus_run(self, by: int) -> None:
        """Put the next run of the screen in focus; with only one, open its neighbour in the list of runs."""
        board = self.board
        if len(board.views) > 1:
            board.focused = (board.focused + by) % len(board.views)
            self._draw()
            return
        from tuitrain.runs import list_runs

        runs = list_runs(self.runs_dir)
        present = board.view.directory if board.view else None
        paths = [run.path.resolve() for run in runs]
        if present is None or present.path.resolve() not in paths or len(runs) < 2:
            self.notify("There is no other run here.")
            return
        self.open_runs([runs[(paths.index(present.path.resolve()) + by) % len(runs)]], "watch")
        self._draw()

    def _follow(self, runs: Sequence[RunDirectory], stream: Follower | None) -> None:
        board = self.board
        board.views = [RunView(index, run) for index, run in enumerate(runs)]
        if stream is not None:
            board.views.append(RunView(len(board.views)))
        board.focused = 0
        board.baseline = min(board.baseline, max(len(board.views) - 1, 0))
        self._generation = self.feed.follow(runs, stream)

    def on_arrived(self, message: Arrived) -> None:
        """Take in what the feed found. News of runs that are no longer on the screen is dropped."""
        if message.generation != self._generation:
            return
        for update in message.updates:
            self._absorb(self.board.views[update.index], update)
        reading_on = any(update.batch.more for update in message.updates)
        self._redraw_soon(at_once=not reading_on and any(update.batch for update in message.updates))

    def _absorb(self, view: RunView, update: Update) -> None:
        if update.batch.reset:
            view.history = RunHistory()
            self._forget_axes()
        view.history.absorb(update.batch.records, update.batch.broken)
        view.status, view.console, view.problem = update.status, update.console, update.problem
        view.loaded = view.loaded or not update.batch.more

    def on_listed(self, message: Listed) -> None:
        """Take in the new list of runs."""
        self.board.glances = message.glances
        self._draw()

    def on_troubled(self, message: Troubled) -> None:
        """Say what could not be read; the rest goes on."""
        self.notify(message.problem, severity="error")

    def _redraw_soon(self, at_once: bool) -> None:
        """Draw at most once a second, now if the last time is long enough ago."""
        if self._redraw_pending:
            return
        wait = self._drawn_at + REDRAW_S - time.monotonic()
        if wait <= 0:
            self._draw()
        else:
            self._redraw_pending = True
            self.set_timer(wait, self._draw)

    def _draw(self) -> None:
        self._redraw_pending = False
        self._drawn_at = time.monotonic()
        _call(self.screen, "draw")

    def _forget_axes(self) -> None:
        for screen in self._screens.values():
            _call(screen, "forget_axes")

    def _on_theme(self, theme: Theme) -> None:
        self.palette = palette_of(theme)
        for screen in self.screen_stack:
            _call(screen, "repaint")

    def action_leave(self) -> None:
        """Leave the app. Training is another process and goes on."""
        self.exit()

    def action_next_theme(self) -> None:
        """Dark to light and back."""
        self.theme = LIGHT if self.current_theme.dark else DARK

    def action_help(self) -> None:
        """The keys of the present screen."""
        from tuitrain.tui.screens.help import HelpScreen

        place = getattr(self.screen, "place", None)
        if place is not None:
            self.push_screen(HelpScreen(place))


def _home(runs: Sequence[RunDirectory], runs_dir: Path) -> Path:
    """The directory whose runs the list shows: the one asked for, unless all runs on the screen lie elsewhere."""
    parents = [run.path.resolve().parent for run in runs]
    return runs_dir if not parents or runs_dir.resolve() in parents else parents[0]


def _call(screen: object, method: str) -> None:
    """Call a method that the app's own screens have and Textual's (palette, modal) need not."""
    found = cast("Callable[[], None] | None", getattr(screen, method, None))
    if found is not None:
        found()


def _make_screen(name: str) -> Screen[None]:
    if name == "watch":
        from tuitrain.tui.screens.watch import WatchScreen

        return WatchScreen()
    if name == "compare":
        from tuitrain.tui.screens.compare import CompareScreen

        return CompareScreen()
    from tuitrain.tui.screens.runs import RunsScreen

    return RunsScreen()


def run_app(
    screen: ScreenName,
    runs: Sequence[RunDirectory],
    runs_dir: Path,
    *,
    stream: Follower | None = None,
    x: str = "step",
    baseline: str | None = None,
) -> int:
    """Show a screen until the user leaves it; returns the exit code.

    After watching a run that is still live it prints how to come back. baseline: the id of one of the runs.
    """
    if x not in X_AXES:
        raise ValueError(f"The x axis is one of {', '.join(X_AXES)}, not {x!r}.")
    ids = [run.run_id for run in runs]
    index = ids.index(baseline) if baseline in ids else 0
    app = TuitrainApp(screen, runs, runs_dir, stream=stream, x=x, baseline=index)
    app.run()
    for view in app.board.views:
        if view.status.live and view.directory is not None:
            print(f"training goes on: {come_back_command('watch', view.directory)}")
    return app.return_code or 0
