"""What a user can set for the screens, and where it was set.

A flag goes before a variable, that before the project's file, that before the user's, that before the default.

Keys, layouts and Textual are imported only for settings that are given: most commands read none of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from tuitrain.plots.axes import X_AXES, XAxis
from tuitrain.settings import SettingsError, converted, given_value, table_entries
from tuitrain.text import terminal_encoding

TABLE = "tui"
"""The table of a settings file for the screens."""

THEMES: dict[str, str] = {
    "dark": "Light text on a dark ground.",
    "light": "Dark text on a light ground.",
    "contrast": "High contrast on black.",
    "contrast-light": "High contrast on white.",
    "colour-blind": "Hues that stay apart with any colour blindness, on a dark ground.",
    "colour-blind-light": "Hues that stay apart with any colour blindness, on a light ground.",
    "terminal": "The terminal's own sixteen colours and its background.",
}
"""The themes that come with tuitrain, in the order in which `t` goes through them."""

Charts = Literal["braille", "plotext"]
CHARTS: tuple[Charts, ...] = ("braille", "plotext")

_KEYS = 'a table of actions with a key or a list of keys, such as zoom = "z" or leave = ["q", "ctrl+q"]'
_LAYOUTS = 'a table of names with lists of panels and metrics, such as mine = ["loss:2", "mfu", "reward/*"]'

_ENTRIES = {
    "keys": 'a key or a list of keys, such as "z" or ["q", "ctrl+q"]',
    "layouts": 'a list of panels and metrics, such as ["loss:2", "mfu", "reward/*"]',
}
"""What stands under a name in the two tables."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the screens. keys: other keys for an action, by its id; layouts: own sets of panels, by name."""

    theme: Annotated[str, Meta(description=f"one of {', '.join(THEMES)}, or a theme of Textual's, such as nord")] = (
        "dark"
    )
    x: Annotated[XAxis, Meta(description=f"one of {', '.join(X_AXES)}")] = "step"
    smoothing: Annotated[float, Meta(ge=0, lt=1, description="a number from 0 to below 1")] = 0.9
    refresh_s: Annotated[float, Meta(ge=0.1, le=60, description="seconds, from 0.1 to 60")] = 1.0
    layout: Annotated[str, Meta(description="the name of a layout, such as overview")] = "overview"
    charts: Annotated[Charts, Meta(description=f"what draws the charts: {' or '.join(CHARTS)}")] = "braille"
    ascii: Annotated[bool, Meta(description="true or false")] = False
    readonly: Annotated[bool, Meta(description="true or false")] = False
    bell: Annotated[bool, Meta(description="true or false")] = True
    keys: Annotated[dict[str, list[str]], Meta(description=_KEYS)] = {}
    layouts: Annotated[dict[str, list[str]], Meta(description=_LAYOUTS)] = {}


class LoadedSettings(NamedTuple):
    """The settings, and the names of those that a flag, a variable or a file has set: the session leaves them alone."""

    settings: Settings
    given: frozenset[str]


FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}
_VARIABLES = {f"TUITRAIN_{name.upper()}": name for name in FIELDS if name not in ("keys", "layouts")}


def load_settings(flags: Mapping[str, Any] = {}, environ: Mapping[str, str] = os.environ) -> LoadedSettings:
    """The settings that hold here. flags: by name of the setting; None is a flag that was not given.

    Raises SettingsError. Without `ascii` the encoding of the terminal decides whether braille is shown.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}

    def use(where: str, name: str, value: Any, *, text: bool = False) -> None:
        checked = _checked(where, name, value, text=text)
        values[name] = {**values.get(name, {}), **checked} if name in _ENTRIES else checked
        origin[name] = where

    for file, name, value in table_entries(TABLE, FIELDS):
        use(f"{file.path}: {TABLE}.{name}", name, value)
    for variable, name in _VARIABLES.items():
        if environ.get(variable):
            use(variable, name, environ[variable], text=True)
    for name, value in flags.items():
        if value is not None:
            use(f"--{name.removesuffix('_s')}", name, value)
    if "theme" in values and not _is_theme(values["theme"]):
        raise SettingsError(
            f"{given_value(origin['theme'], values['theme'])} is not valid: it should be {_description('theme')}."
        )
    if "layout" in values or "layouts" in values:
        _check_layouts(values.get("layouts", {}), values.get("layout"), origin)
    if "keys" in values:
        from tuitrain.tui.keymap import check_keys

        check_keys(values["keys"], origin["keys"])
    given = frozenset(values)
    values.setdefault("ascii", "utf" not in terminal_encoding(sys.stdout).lower())
    return LoadedSettings(Settings(**values), given)


def _checked(where: str, name: str, value: Any, *, text: bool = False) -> Any:
    """The value as the setting's type; text: it comes from a variable, so it is read leniently."""
    if name not in _ENTRIES or not isinstance(value, dict):
        return converted(where, value, FIELDS[name].type, _description(name), text=text)
    if name == "keys":
        from tuitrain.tui.keymap import key_names

        value = {action: key_names(keys) for action, keys in value.items()}
    return {key: converted(f"{where}.{key}", entry, list[str], _ENTRIES[name]) for key, entry in value.items()}


def _description(name: str) -> str:
    return str(get_args(FIELDS[name].type)[1].description)


def _is_theme(name: str) -> bool:
    if name in THEMES:
        return True
    from textual.theme import BUILTIN_THEMES

    return name in BUILTIN_THEMES


def _check_layouts(own: Mapping[str, list[str]], first: str | None, origin: Mapping[str, str]) -> None:
    from tuitrain.plots.panels.layouts import MOST_SIZE, OWN, SHIPPED, parse

    for name, panels in own.items():
        _, wrong = parse(panels)
        if wrong:
            form = f"a panel with 1 to {MOST_SIZE} columns, such as loss:2, or a metric or pattern, such as reward/*"
            raise SettingsError(f"{origin['layouts']}.{name}: {wrong[0]!r} is not valid: it should be {form}.")
        if not panels:
            raise SettingsError(f"{origin['layouts']}.{name}: it has no panels: it should be {_ENTRIES['layouts']}.")
    # The one that is made on the screen may not exist yet, so it is accepted and not offered.
    if first is not None and first not in (*SHIPPED, *own, OWN):
        known = ", ".join(dict.fromkeys([*SHIPPED, *own]))
        raise SettingsError(f"{given_value(origin['layout'], first)} is not one of {known}.")
