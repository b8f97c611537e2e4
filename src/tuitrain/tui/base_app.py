"""The application without its screens: it owns the state, the session and the feed, and tells screens when to draw.

Screens and widgets import this module; `app` adds the screens to it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import ClassVar

from rich.theme import Theme
from textual import events
from textual.binding import Binding
from textual.driver import Driver
from textual.geometry import Size
from textual.notifications import SeverityLevel
from textual.signal import Signal
from textual.widgets import Input

from tuitrain.alerts import Rules
from tuitrain.runs import Follower, RunDirectory, list_runs
from tuitrain.runs.updates import Update
from tuitrain.tui.driver import TerminalCells, changed_cells_only
from tuitrain.tui.feed import Feed, RunListRead, RunsRead
from tuitrain.tui.inert import InertApp
from tuitrain.tui.registry import ACTIONS, RunScreen, ScreenName, actions_for, key_text
from tuitrain.tui.session import last_settings, remember, restore, session_of
from tuitrain.tui.settings import THEMES, Settings
from tuitrain.tui.theme import DARK, SHIPPED, Palette, palette_of
from tuitrain.tui.view_state import RunView, ViewState

DEFAULTS, RULES = Settings(), Rules()
SAVE_S = 5.0
NOTICE_S = 10.0
CONTROLS_S = 0.5
"""The longest time that tabs and keys wait while a log is read for the first time."""
LEAVE_S = 5
"""Seconds after which a program that was asked to end is ended."""
ANSWER_S = 0.3
SILENT_AFTER_S = 5.0
"""How long files may be read before that is said."""
MOST_NOTICES = 3
_ACTING = frozenset(action.method.partition("(")[0] for action in ACTIONS if action.acts)


class BaseApp(InertApp):
    """Everything a screen shows comes from `state`, which only handlers of messages and actions change."""

    TITLE = "tuitrain"
    CSS_PATH = "styles/app.tcss"
    COMMAND_PALETTE_BINDING: ClassVar[str] = "ctrl+p"

    def __init__(
        self,
        screen: ScreenName | None,
        runs: Sequence[RunDirectory],
        runs_dir: Path,
        *,
        stream: Follower | None = None,
        baseline: int = 0,
        settings: Settings = DEFAULTS,
        given: Collection[str] = (),
        rules: Rules = RULES,
        group_by: str = "",
        usd_per_gpu_hour: float | None = None,
    ) -> None:
        self._cells = TerminalCells()
        self._first_size: Size | None = None
        self._palettes: dict[str, Palette] = {}
        # Without colours the terminal's own are the only ones.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.runs_dir = _home(runs, runs_dir)
        self.session = session_of(self.runs_dir)
        """What the screens keep from one session to the next."""
        self.settings = settings = last_settings(self.session, settings, given)
        self.signs_in_ascii = bool(settings.ascii)
        self._given = {name: getattr(settings, name) for name in given}
        self.actions = actions_for(settings.keys, settings.readonly)
        """The actions with their keys."""
        for theme in SHIPPED:
            self.register_theme(theme)
        self.theme = settings.theme if settings.theme in self.available_themes else DARK
        if self.no_color:
            self.theme = self._given["theme"] = "terminal"
        self.watch_theme()
        self.state = ViewState(
            x=settings.x, baseline=baseline, smoothing=settings.smoothing, rules=rules, group_by=group_by,
            usd_per_gpu_hour=usd_per_gpu_hour,
        )  # fmt: skip
        restore(self.session, self.state)
        self.feed = Feed(self.post_message)
        self.state_changed: Signal[ViewState] = Signal(self, "state_changed")
        """Published when what the screens show has changed, at most once in a refresh interval."""
        self._after_reading: list[Callable[[], Awaitable[None]]] = []
        self._screen_name: ScreenName = screen or self.session.get("screen", "watch", RunScreen)
        self._generation = 0
        self._drawn_at = 0.0
        self._redraw_pending = False
        self._session_problem_shown = False
        self._follow(runs, stream)

    @property
    def palette(self) -> Palette:
        """The style of each role in the present theme."""
        if self.theme not in self._palettes:
            self._palettes[self.theme] = palette_of(self.current_theme)
        return self._palettes[self.theme]

    def watch_theme(self) -> None:
        """Give Rich's renderables the roles as their styles."""
        self.console.push_theme(Theme(self.palette, inherit=False))

    def get_key_display(self, binding: Binding) -> str:
        """A key as people call it."""
        return key_text(binding.key)

    def get_driver_class(self) -> type[Driver]:
        return changed_cells_only(super().get_driver_class(), self._cells)

    def on_load(self) -> None:
        """From here on a signal that ends the program gives the terminal back first."""
        self._first_size = self.size
        for number in (signal.SIGTERM, signal.SIGHUP):
            if not self.is_headless and signal.getsignal(number) == signal.SIG_DFL:  # `nohup` ignores SIGHUP
                asyncio.get_running_loop().add_signal_handler(number, self._leave_on_signal, number)

    def _leave_on_signal(self, number: signal.Signals) -> None:
        # Writing to a terminal that is gone can block for ever.
        signal.alarm(LEAVE_S)
        self.exit(return_code=128 + number)

    def on_resize(self, event: events.Resize) -> None:
        # The first event tells the size that the first frame was drawn for.
        if event.size != self._first_size:
            self._cells.forget()
        self._first_size = None

    def on_mount(self) -> None:
        self.set_keymap({action: ",".join(keys) for action, keys in self.settings.keys.items()})
        self.set_interval(SAVE_S, self._save_session)
        self.set_interval(1.0, self._notice_silence)
        # The first frame shows what the first poll reads.
        first = self.feed.begin()
        if first is not None:
            self._absorb_updates(first)
        # Textual draws nothing before its app is mounted, but would render the screen once for that.
        self.call_later(self._show_first_screen)

    async def _show_first_screen(self) -> None:
        await self.push_screen(self._screen_name)
        self.call_after_refresh(self._first_frame_drawn)

    def _first_frame_drawn(self) -> None:
        """Let the feed read on; freeze start-up objects, then enable the garbage collector."""
        self.feed.ready()
        gc.freeze()
        gc.enable()

    def call_after_reading(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call back once the logs on the screen were read and drawn, after CONTROLS_S at the latest."""
        self._after_reading.append(callback)
        if all(view.loaded for view in self.state.runs):
            self._call_after_reading()
        else:
            self.set_timer(CONTROLS_S, self._call_after_reading)

    def _call_after_reading(self) -> None:
        callbacks, self._after_reading = self._after_reading, []
        for callback in callbacks:
            self.call_after_refresh(callback)

    def on_unmount(self) -> None:
        self.feed.stop()
        self._save_session()

    @property
    def files_answer(self) -> bool:
        """Whether reading files would not hold up the keys: the feed does not wait for them."""
        return self.feed.silent_s < ANSWER_S

    def _notice_silence(self) -> None:
        """Show that the files of the runs do not answer, or answer again."""
        seconds = self.feed.silent_s
        if seconds >= SILENT_AFTER_S or self.state.silent_s:
            self.state.set_silence(seconds if seconds >= SILENT_AFTER_S else 0.0)
            self._redraw_soon(at_once=False)

    def _save_session(self) -> None:
        """Keep the options of the screens; if that is not possible, say so once."""
        remember(self.session, self.state, self.theme, self._screen_name, self._given)
        self.session.save()
        if self.session.problem and not self._session_problem_shown:
            self._session_problem_shown = True
            self.notify(self.session.problem)

    def show_screen(self, name: ScreenName) -> None:
        """Go to a screen."""
        self._screen_name = name
        if self.screen is not self.get_screen(name):
            # Notices about the last screen would cover this one.
            self.clear_notifications()
            self.switch_screen(name)

    def open_runs(self, runs: Sequence[RunDirectory], screen: ScreenName) -> None:
        """Replace the runs on the screen."""
        if [view.directory for view in self.state.runs] != list(runs):
            self._follow(runs, None)
        self.show_screen(screen)

    def action_focus_run(self, by: int) -> None:
        """Put the next run of the screen in focus; with only one, open its neighbour in the list of runs."""
        state = self.state
        if len(state.runs) > 1:
            state.focus_next(by)
            self._draw()
            return
        if not self.files_answer:
            self.notify("The files of the runs do not answer.", severity="warning")
            return
        runs = list_runs(self.runs_dir)
        present = state.run.directory if state.run else None
        paths = [run.path.resolve() for run in runs]
        if present is None or present.path.resolve() not in paths or len(runs) < 2:
            self.notify("There is no other run here.")
            return
        self.open_runs([runs[(paths.index(present.path.resolve()) + by) % len(runs)]], self._screen_name)
        self._draw()

    def _follow(self, runs: Sequence[RunDirectory], stream: Follower | None) -> None:
        self.state.show_runs(runs, stream is not None)
        self._generation = self.feed.follow(runs, stream)

    def on_runs_read(self, message: RunsRead) -> None:
        """Add what the feed has read and let it read on."""
        self._absorb_updates(message)
        self.feed.ready()

    def _absorb_updates(self, message: RunsRead) -> None:
        """Records of runs that are no longer on the screen are dropped."""
        if message.generation != self._generation:
            return
        done = False
        for index, update in message.updates:
            view = self.state.runs[index]
            reading = view.reading is not None or not view.loaded
            self._absorb(view, update)
            done |= reading and view.loaded and view.reading is None
        self.state.follow_newest()
        self._redraw_soon(at_once=done)
        if done:
            self._call_after_reading()

    def _absorb(self, view: RunView, update: Update) -> None:
        """Add the records to the run; show its new alerts as notices, with one ring of the terminal's bell."""
        if update.batch.reset:
            self.state.reset_axes()
        alerts = [alert for alert in view.absorb(update) if alert.level != "info"]
        for alert in alerts[-MOST_NOTICES:]:
            severity: SeverityLevel = "error" if alert.level == "critical" else "warning"
            self.notify(alert.message, title=view.name, severity=severity, timeout=NOTICE_S)
        if alerts and self.settings.bell:
            self.bell()

    def on_run_list_read(self, message: RunListRead) -> None:
        """Show the new list of runs, or say why it could not be read; the rest goes on."""
        if message.problem:
            self.notify(message.problem, severity="error")
        else:
            self.state.list_runs(message.snapshots, message.hosts)
            self._draw()

    def _redraw_soon(self, at_once: bool) -> None:
        """Draw now, or after the rest of the refresh interval."""
        wait = self._drawn_at + self.settings.refresh_s - time.monotonic()
        if at_once or wait <= 0:
            self._draw()
        elif not self._redraw_pending:
            self._redraw_pending = True
            self.set_timer(wait, self._draw)

    def redraw(self) -> None:
        """Draw the state as it is now."""
        self.state_changed.publish(self.state)

    def _draw(self) -> None:
        """Draw, unless the terminal has not taken the last frame yet: then after another interval."""
        self._redraw_pending = not self.terminal_ready
        if self._redraw_pending:
            self.set_timer(self.settings.refresh_s, self._draw)
        else:
            self._drawn_at = time.monotonic()
            self.redraw()

    @property
    def terminal_ready(self) -> bool:
        """Whether writing would not wait, as it does while a slow link is full."""
        if self.is_headless or sys.__stderr__ is None:
            return True
        return bool(select.select([], [sys.__stderr__], [], 0)[1])

    def action_leave(self) -> None:
        """Leave the app. Training is another process and goes on."""
        if not self.files_answer:
            # A thread that reads is waited for; the terminal is given back before that.
            end = threading.Timer(LEAVE_S, os._exit, [0])
            end.daemon = True
            end.start()
        self.exit()

    def action_next_theme(self) -> None:
        """The next of our own themes."""
        names = list(THEMES)
        position = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(position + 1) % len(names)]
        self.notify(self.theme, title="theme", timeout=2)

    async def on_event(self, event: events.Event) -> None:
        """Type keys that arrive together with the key that opened a line into that line.

        An input consumes what is typed into it; a letter that bubbles up to here came before the input had the focus.
        """
        if isinstance(event, events.Key) and event.is_forwarded and event.is_printable and event.character:
            line = self.focused
            if isinstance(line, Input):
                line.insert_text_at_cursor(event.character)
                event.stop()
                return
        await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Refuse actions on runs and files where the dashboard is read-only."""
        if self.settings.readonly and action in _ACTING:
            return False
        return super().check_action(action, parameters)


def _home(runs: Sequence[RunDirectory], runs_dir: Path) -> Path:
    """The directory whose runs the list shows: the one asked for, unless all runs on the screen lie elsewhere."""
    parents = [run.path.resolve().parent for run in runs if run.source is None and not run.remote]
    return runs_dir if not parents or runs_dir.resolve() in parents else parents[0]
