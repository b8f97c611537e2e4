"""The app: its screens by name, the actions that show them, help, and `run_app`, which starts it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, cast

from textual.command import Provider
from textual.screen import Screen

from tuitrain.alerts import load_rules
from tuitrain.runs import Follower, RunDirectory, command_for
from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.registry import SCREENS, ScreenName
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.settings import LoadedSettings, load_settings


def _make_screen(name: ScreenName) -> Screen[None]:
    """A screen, whose module is imported then: importing all would double the time to the first frame."""
    screen = getattr(import_module(f"tuitrain.tui.screens.{name}"), f"{name.capitalize()}Screen")
    return cast("Screen[None]", screen())


def _provider() -> type[Provider]:
    # With the palette: the first frame does without.
    from tuitrain.tui.palette_commands import ActionProvider

    return ActionProvider


class TuitrainApp(BaseApp):
    """The app with its screens."""

    SCREENS: ClassVar[dict[str, Callable[[], Screen[Any]]]] = {
        name: partial(_make_screen, name) for name, _, _ in SCREENS
    }
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_provider}

    def action_show(self, name: ScreenName) -> None:
        """Show a screen; the list of runs in place of one that lacks runs to show."""
        if name == "compare" and len(self.state.runs) < 2:
            view = self.state.run
            self.state.mark([view.directory.run_id] if view and view.directory else [])
            self.show_screen("runs")
            self.redraw()
            self.notify("Mark other runs with space, then press c.", title="Compare")
        else:
            self.show_screen("runs" if name == "watch" and not self.state.runs else name)

    def action_choose_screen(self) -> None:
        """Choose a screen from a list."""
        # With the list: the first frame does without.
        from tuitrain.tui.screens.dialogs import Choice

        options = [(name, f"{number}  {title:<9} {text}") for number, (name, title, text) in enumerate(SCREENS, 1)]

        def show(name: str | None) -> None:
            if name is not None:
                self.action_show(cast("ScreenName", name))

        self.push_screen(Choice("screens", options), show)

    def action_help(self) -> None:
        """Show the keys of the screen."""
        # With the help: the first frame does without.
        from tuitrain.tui.screens.help import HelpScreen

        if isinstance(self.screen, BaseScreen):
            self.push_screen(HelpScreen(self.screen.screen_name))


def run_app(
    screen: ScreenName | None,
    runs: Sequence[RunDirectory],
    runs_dir: Path,
    *,
    stream: Follower | None = None,
    baseline: str | None = None,
    group_by: str = "",
    usd_per_gpu_hour: float | None = None,
    loaded: LoadedSettings | None = None,
) -> int:
    """Show a screen until the user leaves it; returns the exit code. screen: None is the one that was left last.

    loaded: the settings; by default those of files and variables. Raises SettingsError.
    After watching a run that is still live it prints the command that shows it again. baseline: the id of one of the
    runs. group_by: a configuration key or `tag`, for the compare screen, as usd_per_gpu_hour for its costs is.
    """
    ids = [run.run_id for run in runs]
    index = ids.index(baseline) if baseline in ids else 0
    settings, given = loaded or load_settings()
    app = TuitrainApp(
        screen, runs, runs_dir, stream=stream, baseline=index, settings=settings, given=given, rules=load_rules(),
        group_by=group_by, usd_per_gpu_hour=usd_per_gpu_hour,
    )  # fmt: skip
    app.run()
    signal.alarm(0)
    for view in app.state.runs if not app.return_code else ():
        if view.status.live and view.directory is not None:
            print(f"training goes on: {command_for('watch', view.directory)}")
    return app.return_code or 0
