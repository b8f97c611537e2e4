"""The registry of actions: methods, keys, help."""

from __future__ import annotations

import pytest

from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.registry import ACTIONS, ScreenName, actions_of
from tuitrain.tui.screens.compare import CompareScreen
from tuitrain.tui.screens.help import HelpScreen, help_lines
from tuitrain.tui.screens.runs import RunsScreen
from tuitrain.tui.screens.watch import WatchScreen
from tuitrain.tui.text import plain
from tuitrain.tui.widgets.dashboard import Dashboard

SCREENS: dict[ScreenName, type] = {
    "watch": WatchScreen, "runs": RunsScreen, "compare": CompareScreen, "help": HelpScreen,
}  # fmt: skip


@pytest.mark.parametrize("screen", SCREENS)
def test_every_action_of_a_screen_has_its_method(screen: ScreenName) -> None:
    for action in actions_of(screen):
        owner = {"screen": SCREENS[screen], "charts": Dashboard, "app": TuitrainApp}[action.owner]
        assert callable(getattr(owner, f"action_{action.method.partition('(')[0]}", None)), action.id


@pytest.mark.parametrize("screen", SCREENS)
def test_every_key_of_a_screen_has_one_action(screen: ScreenName) -> None:
    keys = [key for action in actions_of(screen) for key in action.keys]
    assert len(keys) == len(set(keys))


def test_help_comes_from_the_registry() -> None:
    shown = " ".join(" ".join(plain(row) for row in help_lines("watch", ACTIONS, 60)).split())
    assert all(action.help in shown for action in ACTIONS if "watch" in action.screens)
