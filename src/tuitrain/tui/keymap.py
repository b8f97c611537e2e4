"""The user's own keys: their names as Textual knows them, and that no screen has one key for two actions."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from textual.keys import KEY_NAME_REPLACEMENTS, KEY_TO_UNICODE_NAME, Keys, key_to_character

from tuitrain.settings import SettingsError, unknown_key
from tuitrain.tui.registry import ACTIONS, EVERYWHERE, Action, ScreenName

_NAMES = {
    " ": "space", "esc": "escape", "return": "enter", "del": "delete", "page up": "pageup", "page down": "pagedown",
    "←": "left", "→": "right", "↑": "up", "↓": "down",
}  # fmt: skip
"""Other names that people use for a key, with Textual's."""

_MODIFIERS = frozenset(("ctrl", "shift", "alt", "super", "meta", "hyper"))


def key_names(keys: Any) -> Any:
    """A key, or a list of them, as a list of Textual's names; anything else as it is, to be refused."""
    several = [keys] if isinstance(keys, str) else keys
    return [key_name(key) if isinstance(key, str) else key for key in several] if isinstance(several, list) else keys


def key_name(key: str) -> str:
    """A key as Textual calls it: `?` is question_mark, `ctrl+/` is ctrl+slash."""
    modifiers, plus, last = (key[:-2], "+", "+") if key.endswith("++") else key[:-1].rpartition("+")
    last = last if key.endswith("++") else last + key[-1:]
    last = _NAMES.get(last.lower(), last if len(last) == 1 else last.lower())
    if len(last) == 1 and not last.isalnum():
        last = re.sub(r"\W", "_", unicodedata.name(last, last).lower())
        last = KEY_NAME_REPLACEMENTS.get(last, last)
    return f"{modifiers.lower()}+{last}" if modifiers and plus else last


def check_keys(keys: Mapping[str, Sequence[str]], where: str) -> None:
    """Raise SettingsError for an action that does not exist, for what is no key, and for a key that is taken.

    where: the file and the table, for the message.
    """
    actions = {action.id: action for action in ACTIONS}
    for identity, names in keys.items():
        if identity not in actions:
            file, _, table = where.rpartition(": ")
            raise unknown_key(file, identity, actions, f"{table}.")
        if not names:
            raise SettingsError(f"{where}.{identity} is empty: give the action a key, or leave it out.")
        for name in names:
            if problem := _problem(name):
                raise SettingsError(f"{where}.{identity}: {name!r} is not a key; {problem}")
    for screen in EVERYWHERE:
        _check_screen(screen, keys, where)


def _problem(name: str) -> str:
    """What is wrong with a key that Textual never reports, with the nearest that it does; else nothing."""
    *modifiers, last = name.split("+")
    names = {*(key.value.rpartition("+")[2] for key in Keys), *KEY_TO_UNICODE_NAME, *KEY_NAME_REPLACEMENTS.values()}
    if _MODIFIERS.issuperset(modifiers) and (last in names or key_to_character(last)):
        return ""
    near = difflib.get_close_matches(last, [each for each in names if each.isidentifier() and len(each) > 1], n=1)
    kept = [each for each in modifiers if each in _MODIFIERS]
    return f"did you mean {'+'.join([*kept, *near])!r}?" if near else 'write it like "x", "ctrl+x" or "page up".'


def _check_screen(screen: ScreenName, keys: Mapping[str, Sequence[str]], where: str) -> None:
    taken: dict[str, Action] = {}
    for action in ACTIONS:
        if screen not in action.screens:
            continue
        for key in keys.get(action.id, action.keys):
            other = taken.setdefault(key, action)
            if other.id == action.id or not {other.id, action.id} & set(keys):
                continue
            changed, kept = (action, other) if action.id in keys else (other, action)
            raise SettingsError(
                f"{where}.{changed.id}: on the screen {screen} the key {key!r} already is that of {kept.id}; "
                f"give one of them another key."
            )
