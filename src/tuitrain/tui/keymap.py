"""The user's own keys: their names as Textual knows them, and that no screen has one key for two actions."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from textual.keys import Keys

from tuitrain.runs.settings import SettingsError, unknown_key
from tuitrain.tui.registry import ACTIONS, EVERYWHERE, Action, ScreenName

_NAMES = {
    "/": "slash", "\\": "backslash", "@": "at", "-": "minus", "+": "plus", "_": "underscore", " ": "space",
    "esc": "escape", "return": "enter", "del": "delete", "page up": "pageup", "page down": "pagedown",
    "←": "left", "→": "right", "↑": "up", "↓": "down",
}  # fmt: skip
"""Textual's names of keys where they are not those of Unicode, and other names that people use."""

_HELD = frozenset(("ctrl", "shift", "alt", "super", "meta", "hyper"))


def key_names(keys: Any) -> Any:
    """A key, or a list of them, as a list of Textual's names; anything else as it is, to be refused."""
    several = [keys] if isinstance(keys, str) else keys
    return [key_name(key) if isinstance(key, str) else key for key in several] if isinstance(several, list) else keys


def key_name(key: str) -> str:
    """A key as Textual calls it: `?` is question_mark, `ctrl+/` is ctrl+slash."""
    held, plus, last = key.rpartition("+") if len(key) > 1 and not key.endswith("++") else (key[:-2], key[:-1], key[-1])
    last = _NAMES.get(last.lower(), last if len(last) == 1 else last.lower())
    if len(last) == 1 and not last.isalnum():
        last = re.sub(r"\W", "_", unicodedata.name(last, last).lower())
    return f"{held.lower()}+{last}" if held and plus else last


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
    *held, last = name.split("+")
    names = _key_names()
    if set(held) <= _HELD and (last in names or (len(last) == 1 and last.isalnum()) or _is_character(last)):
        return ""
    near = difflib.get_close_matches(last, names, n=1, cutoff=0.6) if last else []
    kept = [each for each in held if each in _HELD]
    return f"did you mean {'+'.join([*kept, *near])!r}?" if near else 'write it like "x", "ctrl+x" or "page up".'


def _key_names() -> list[str]:
    """Keys with a name: those that are no characters, and the punctuation of Latin keyboards."""
    named = {key.value.rpartition("+")[2] for key in Keys}
    punctuation = {key_name(chr(code)) for code in range(0x21, 0x180) if not chr(code).isalnum()}
    return sorted(each for each in named | punctuation if re.fullmatch(r"\w{2,}", each))


def _is_character(name: str) -> bool:
    """Whether it is the Unicode name of a character, with underscores."""
    try:
        return unicodedata.lookup(name.replace("_", " ")).isprintable()
    except KeyError:
        return False


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
