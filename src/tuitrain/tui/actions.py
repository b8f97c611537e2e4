"""The actions as one user has set them: the registry with the key map and without what is switched off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from textual.binding import Binding, BindingType

from tuitrain.tui.registry import ACTIONS, SCREENS, Action, Owner, ScreenName
from tuitrain.tui.text import Line, Span, fit, join, line, width

ROWS_WITH_NAVIGATION = 30
"""A terminal at least this high has a line of its own for the screens."""


def actions_for(keys: Mapping[str, Sequence[str]], readonly: bool) -> tuple[Action, ...]:
    """The registry with other keys for some actions (by id), and without those that act when only reading."""
    return tuple(
        replace(action, keys=tuple(keys[action.id])) if action.id in keys else action
        for action in ACTIONS
        if not (readonly and action.acts)
    )


def withheld_keys(place: ScreenName, keys: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The keys of a screen that do nothing when only reading. keys: other keys for some actions, by id."""
    acting = (action for action in actions_of(place, actions_for(keys, readonly=False)) if action.acts)
    return frozenset(key for action in acting for key in action.keys)


def actions_of(place: ScreenName, actions: Sequence[Action] = ACTIONS) -> list[Action]:
    """The actions of a screen, in the order of their declaration."""
    return [action for action in actions if place in action.places]


def bindings(place: ScreenName, *owners: Owner) -> list[BindingType]:
    """Textual's bindings of a screen, or of its charts, with the id of the action, by which a key map changes them.

    owners: whose actions; by default those of the screen and of the app.
    """
    priority = ("tab", "shift+tab", "ctrl+c")
    return [
        Binding(key, action.handler, action.title, show=False, priority=key in priority, id=action.id)
        for action in actions_of(place)
        for key in action.keys
        if action.owner in (owners or ("screen", "app"))
    ]


def foot(
    place: ScreenName, cells: int, rows: int, actions: Sequence[Action] = ACTIONS, readonly: bool = False
) -> list[Line]:
    """The lowest lines of a screen: where there is room the screens, then the keys worth knowing.

    readonly: the first of them ends with a word about it.
    """
    end = line(Span(" read-only ", "warn")) if readonly else ()
    room = cells - width(end)
    if rows >= ROWS_WITH_NAVIGATION:
        return [(*fit(_navigation(place, room), room), *end), _keys(place, cells, actions)]
    menu = line(Span(" ≡", "key", "app.choose_screen"))
    return [(*fit((*menu, *_keys(place, room - 2, actions)), room), *end)]


def foot_rows(rows: int) -> int:
    """How many lines `foot` has in a terminal of this height."""
    return 2 if rows >= ROWS_WITH_NAVIGATION else 1


def _navigation(place: ScreenName, cells: int) -> Line:
    """All screens with their numbers, the present one set off."""
    found: Line = ()
    for gap in ("   ", "  ", " "):
        found = join((_screen(name, title, number, place) for number, (name, title, _) in numbered()), line(gap))
        if width(found) <= cells - 2:
            break
    return line(" ", *found)


def numbered() -> list[tuple[int, tuple[ScreenName, str, str]]]:
    """The screens with their numbers."""
    return list(enumerate(SCREENS, start=1))


def _screen(name: ScreenName, title: str, number: int, place: ScreenName) -> Line:
    handler = f"app.show_{name}"
    return line(Span(str(number), "key", handler), Span(f" {title}", "on" if name == place else "quiet", handler))


def _keys(place: ScreenName, cells: int, actions: Sequence[Action]) -> Line:
    """As many keys as fit, the less important ones left out first."""
    shown = sorted(
        (action for action in actions_of(place, actions) if action.footer and action.keys),
        key=lambda action: action.footer,
    )
    found: Line = ()
    for count in range(len(shown), 0, -1):
        found = join((_hint(action) for action in shown[:count]), line("  "))
        if width(found) <= cells - 2:
            break
    return line(" ", *found)


def _hint(action: Action) -> Line:
    return line(Span(action.key_text, "key", action.handler), Span(f" {action.title}", "quiet", action.handler))
