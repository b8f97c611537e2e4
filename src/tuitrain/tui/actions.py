"""The actions as one user has set them: the registry with the key map and without what is switched off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from textual.binding import Binding, BindingType

from tuitrain.tui.registry import ACTIONS, SCREENS, Action, Owner, ScreenName


def actions_for(keys: Mapping[str, Sequence[str]], readonly: bool) -> tuple[Action, ...]:
    """The registry with other keys for some actions (by id), and without those that act when only reading."""
    return tuple(
        replace(action, keys=tuple(keys[action.id])) if action.id in keys else action
        for action in ACTIONS
        if not (readonly and action.acts)
    )


def withheld_keys(screen: ScreenName, keys: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The keys of a screen that do nothing when only reading. keys: other keys for some actions, by id."""
    acting = (action for action in actions_of(screen, actions_for(keys, readonly=False)) if action.acts)
    return frozenset(key for action in acting for key in action.keys)


def actions_of(screen: ScreenName, actions: Sequence[Action] = ACTIONS) -> list[Action]:
    """The actions of a screen, in the order of their declaration."""
    return [action for action in actions if screen in action.screens]


def bindings(screen: ScreenName, *owners: Owner) -> list[BindingType]:
    """Textual's bindings of a screen, or of its charts, with the id of the action, by which a key map changes them.

    owners: of whose actions, for the widget that has them; by default those of the screen and of the app.
    """
    priority = () if owners else ("tab", "shift+tab", "ctrl+c")
    return [
        Binding(key, handler, action.title, show=False, priority=key in priority, id=action.id)
        for action in actions_of(screen)
        if action.owner in (owners or ("screen", "app"))
        for handler in [action.id if owners else action.handler]
        for key in action.keys
    ]


def numbered() -> list[tuple[int, tuple[ScreenName, str, str]]]:
    """The screens with their numbers."""
    return list(enumerate(SCREENS, start=1))
