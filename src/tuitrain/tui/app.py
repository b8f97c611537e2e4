"""The Textual application: it owns the state and the feed, and shows one screen at a time."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from rich.console import RenderableType
from textual import events
from textual._compositor import ChopsUpdate
from textual.driver import Driver
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.theme import Theme

from tuitrain.events import Alert
from tuitrain.plots.axes import X_AXES, XAxis
from tuitrain.runs import Follower, RunDirectory, come_back_command
from tuitrain.tui.actions import actions_for
from tuitrain.tui.alarm import Alarm
from tuitrain.tui.feed import Arrived, Feed, Listed, Troubled
from tuitrain.tui.narrow import NarrowUpdate
from tuitrain.tui.navigation import Navigation
from tuitrain.tui.refresh import Link, Pace, timed
from tuitrain.tui.registry import ACTIONS, ScreenName
from tuitrain.tui.session import last_screen, last_settings, remember, restore, session_of
from tuitrain.tui.settings import THEMES, Found, Settings, load_settings
from tuitrain.tui.source import Update
from tuitrain.tui.theme import DARK, Palette, palette_of
from tuitrain.tui.themes import SHIPPED
from tuitrain.tui.view_state import RunView, ViewState

DEFAULTS = Settings()
SAVE_S = 5.0
NOTICE_S = 10.0
MOST_NOTICES = 3


def _provider() -> Any:
    from tuitrain.tui.palette_commands import ActionProvider

    return ActionProvider


class TuitrainApp(Navigation):
    """Everything a screen shows comes from `state`, which only the handlers of the feed's messages fill."""

    COMMANDS: ClassVar = {_provider}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    TITLE = "tuitrain"

    def __init__(
        self,
        screen: ScreenName | None,
        runs: Sequence[RunDirectory],
        runs_dir: Path,
        *,
        stream: Follower | None = None,
        x: XAxis | None = None,
        baseline: int = 0,
        settings: Settings = DEFAULTS,
        given: Collection[str] = (),
    ) -> None:
        self.link = Link()
        """The way to the terminal; the driver asks for it before anything else is there."""
        # Without colours the terminal's own are the only ones.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.runs_dir = _home(runs, runs_dir)
        self.session = session_of(self.runs_dir)
        """What is remembered from one visit to the next."""
        self.settings = settings = last_settings(self.session, settings, given)
        self.signs_in_ascii = bool(settings.ascii)
        self._given = {name: getattr(settings, name) for name in given}
        self.actions = actions_for(settings.keys, settings.readonly)
        """What a person can do here, with the keys for it."""
        for theme in SHIPPED:
            self.register_theme(theme)
        self.theme = settings.theme if settings.theme in self.available_themes else DARK
        if self.no_color:
            self.theme = self._given["theme"] = "terminal"
        self.palette: Palette = palette_of(self.current_theme)
        self.state = ViewState(x=x or settings.x, baseline=baseline, smoothing=settings.smoothing)
        restore(self.session, self.state)
        self.feed = Feed(self.post_message)
        self.pace = Pace(settings.refresh_s)
        self._alarm = Alarm()
        self._place: ScreenName = screen or last_screen(self.session)
        self._generation = 0
        self._screens: dict[str, Screen[None]] = {}
        self._drawn_at = 0.0
        self._redraw_pending = False
        self._session_problem_told = False
        self._follow(runs, stream)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        super()._display(screen, NarrowUpdate.of(renderable) if isinstance(renderable, ChopsUpdate) else renderable)

    def get_driver_class(self) -> type[Driver]:
        from tuitrain.tui.driver import thrifty

        return timed(thrifty(super().get_driver_class()), self.link)

    def on_mount(self) -> None:
        self.set_keymap({action: ",".join(keys) for action, keys in self.settings.keys.items()})
        self.set_interval(SAVE_S, self._save_session)
        self.palette = palette_of(self.current_theme)
        self.theme_changed_signal.subscribe(self, self._on_theme)
        # What the first look finds is there before the first picture.
        found = self.feed.begin()
        if found is not None:
            self.on_arrived(found)
        self.push_screen(self._screen(self._place))
        # Header first, then the charts, whose places must be known.
        self.call_after_refresh(self.call_after_refresh, self._settled)

    def _settled(self) -> None:
        """The first picture is there: read on, and look for garbage, but never among what is there at the start."""
        self.feed.drawn()
        gc.freeze()
        gc.enable()

    def on_unmount(self) -> None:
        self.feed.stop()
        self._save_session()

    def _save_session(self) -> None:
        """Keep how things are looked at; say once if that is not possible."""
        remember(self.session, self.state, self.theme, self._place, self._given)
        for screen in self._screens.values():
            _call(screen, "remember")
        self.session.save()
        if self.session.problem and not self._session_problem_told:
            self._session_problem_told = True
            self.notify(self.session.problem)

    def _screen(self, name: ScreenName) -> Screen[None]:
        """The screen of this name, made when it is first asked for."""
        if name not in self._screens:
            self._screens[name] = _make_screen(name)
            # Installed screens stay alive while another one is shown.
            self.install_screen(self._screens[name], name)
        return self._screens[name]

    def show_screen(self, name: ScreenName) -> None:
        """Go to a screen."""
        self._place = name
        wanted = self._screen(name)
        if self.screen is not wanted:
            # What was said of the last screen would cover this one.
            self.clear_notifications()
            self.switch_screen(wanted)

    def open_runs(self, runs: Sequence[RunDirectory], screen: ScreenName) -> None:
        """Show these runs in place of the present ones."""
        if [view.directory for view in self.state.runs] != list(runs):
            self._follow(runs, None)
            self._forget_axes()
        self.show_screen(screen)

    def focus_run(self, by: int) -> None:
        """Put the next run of the screen in focus; with only one, open its neighbour in the list of runs."""
        state = self.state
        if len(state.runs) > 1:
            state.focused = (state.focused + by) % len(state.runs)
            self._draw()
            return
        from tuitrain.runs import list_runs

        runs = list_runs(self.runs_dir)
        present = state.run.directory if state.run else None
        paths = [run.path.resolve() for run in runs]
        if present is None or present.path.resolve() not in paths or len(runs) < 2:
            self.notify("There is no other run here.")
            return
        self.open_runs([runs[(paths.index(present.path.resolve()) + by) % len(runs)]], self._place)
        self._draw()

    def _follow(self, runs: Sequence[RunDirectory], stream: Follower | None) -> None:
        state = self.state
        state.runs = [RunView(index, run) for index, run in enumerate(runs)]
        if stream is not None:
            state.runs.append(RunView(len(state.runs)))
        state.focused = 0
        state.baseline = min(state.baseline, max(len(state.runs) - 1, 0))
        self._alarm.forget()
        self._generation = self.feed.follow(runs, stream)

    def on_arrived(self, message: Arrived) -> None:
        """Take in what the feed found. News of runs that are no longer on the screen is dropped."""
        self.feed.taken()
        if message.generation != self._generation:
            return
        done = False
        for update in message.updates:
            view = self.state.runs[update.index]
            reading = view.reading is not None or not view.loaded
            self._absorb(view, update)
            done |= reading and view.loaded and view.reading is None
        self._redraw_soon(at_once=done)

    def _absorb(self, view: RunView, update: Update) -> None:
        if update.batch.reset:
            self._forget_axes()
        view.absorb(update)
        self._ring(view, self._alarm.hear(view.index, update.batch.records, loaded=view.loaded))

    def _ring(self, view: RunView, alerts: Sequence[Alert]) -> None:
        """Say what has just been alerted, with one ring of the terminal's bell."""
        for alert in alerts[-MOST_NOTICES:]:
            severity: SeverityLevel = "error" if alert.level == "critical" else "warning"
            self.notify(alert.message, title=view.name, severity=severity, timeout=NOTICE_S)
        if alerts and self.settings.bell:
            self.bell()

    def on_listed(self, message: Listed) -> None:
        """Take in the new list of runs."""
        self.state.snapshots = message.snapshots
        self._draw()

    def on_troubled(self, message: Troubled) -> None:
        """Say what could not be read; the rest goes on."""
        self.notify(message.problem, severity="error")

    def _redraw_soon(self, at_once: bool) -> None:
        """Draw at most once in a refresh interval, which grows on a slow line: now if the last time is long ago."""
        wait = self._drawn_at + self.pace.interval - time.monotonic()
        if at_once or wait <= 0:
            self._draw()
        elif not self._redraw_pending:
            self._redraw_pending = True
            self.set_timer(wait, self._draw)

    def _draw(self) -> None:
        self.pace.drawn(self.link.take())
        if self.link.stuck:
            self._redraw_pending = True
            self.set_timer(self.pace.interval, self._draw)
            return
        self._redraw_pending = False
        self._drawn_at = time.monotonic()
        # News may still come in while the app is left and its screens are taken apart.
        if self.is_running and self.screen_stack:
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
        """The next of our own themes."""
        names = list(THEMES)
        place = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(place + 1) % len(names)]
        self.notify(self.theme, title="theme", timeout=2)

    async def on_event(self, event: events.Event) -> None:
        """Keys that come in one packet with the one that opened a line are typed into it, and do not act on the run.

        A line takes what is typed into it; a letter that comes by here was sent before the line had the focus.
        """
        if isinstance(event, events.Key) and event.is_forwarded and event.is_printable and event.character:
            from textual.widgets import Input

            line = self.focused
            if isinstance(line, Input):
                line.insert_text_at_cursor(event.character)
                event.stop()
                return
        await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is done to a run or a file where the dashboard is only for reading."""
        if self.settings.readonly and action in _ACTS:
            return False
        return super().check_action(action, parameters)

    def action_help(self) -> None:
        """The keys of the present screen."""
        from tuitrain.tui.screens.help import HelpScreen

        place = getattr(self.screen, "place", None)
        if place is not None:
            self.push_screen(HelpScreen(place))


_ACTS = frozenset(action.id for action in ACTIONS if action.acts)


def _home(runs: Sequence[RunDirectory], runs_dir: Path) -> Path:
    """The directory whose runs the list shows: the one asked for, unless all runs on the screen lie elsewhere."""
    parents = [run.path.resolve().parent for run in runs]
    return runs_dir if not parents or runs_dir.resolve() in parents else parents[0]


def _call(screen: object, method: str) -> None:
    """Call a method that the app's own screens have and Textual's (palette, modal) need not."""
    found = cast("Callable[[], None] | None", getattr(screen, method, None))
    if found is not None:
        found()


def _make_screen(name: ScreenName) -> Screen[None]:
    """Each screen's module is imported when the screen is first shown."""
    from importlib import import_module

    module = import_module(f"tuitrain.tui.screens.{name}")
    return cast("Screen[None]", getattr(module, f"{name.capitalize()}Screen")())


def run_app(
    screen: ScreenName | None,
    runs: Sequence[RunDirectory],
    runs_dir: Path,
    *,
    stream: Follower | None = None,
    x: str | None = None,
    baseline: str | None = None,
    group_by: str = "",
    found: Found | None = None,
) -> int:
    """Show a screen until the user leaves it; returns the exit code. screen: None is the one that was left last.

    found: the settings; by default those of files and variables. Raises SettingsError.
    After watching a run that is still live it prints how to come back. baseline: the id of one of the runs.
    group_by: a configuration key or `tag`, for the compare screen.
    """
    if x is not None and x not in X_AXES:
        raise ValueError(f"The x axis is one of {', '.join(X_AXES)}, not {x!r}.")
    ids = [run.run_id for run in runs]
    index = ids.index(baseline) if baseline in ids else 0
    settings, given = found or load_settings({"x": x})
    app = TuitrainApp(screen, runs, runs_dir, stream=stream, x=x, baseline=index, settings=settings, given=given)
    app.state.group_by = group_by
    app.run()
    for view in app.state.runs if not app.return_code else ():
        if view.status.live and view.directory is not None:
            print(f"training goes on: {come_back_command('watch', view.directory)}")
    return app.return_code or 0
