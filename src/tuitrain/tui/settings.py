"""What a user can set for the screens, and where it was set.

A flag goes before a variable, that before the project's file, that before the user's, that before the default.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from tuitrain.plots.axes import X_AXES, XAxis
from tuitrain.runs.settings import SettingsError, settings_files, unknown_key

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
_LAYOUTS = 'a table of names with lists of panels, such as mine = ["loss", "mfu"]'

_ENTRIES = {
    "keys": 'a key or a list of keys, such as "z" or ["q", "ctrl+q"]',
    "layouts": 'a list of panels, such as ["loss", "mfu"]',
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


_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}
_VARIABLES = {f"TUITRAIN_{name.upper()}": name for name in _FIELDS if name not in ("keys", "layouts")}


def load_settings(flags: Mapping[str, Any] = {}, environ: Mapping[str, str] = os.environ) -> LoadedSettings:
    """The settings that hold here. flags: by name of the setting; None is a flag that was not given.

    Raises SettingsError. Without `ascii` the encoding of the terminal decides whether braille is shown.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for file in reversed(settings_files()):
        table = file.values.get(TABLE, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{file.path}: {TABLE} should be a table: write [{TABLE}] above its keys.")
        for name, value in table.items():
            if name not in _FIELDS:
                raise unknown_key(str(file.path), name, _FIELDS, f"{TABLE}.")
            checked = _checked(f"{file.path}: {TABLE}.{name}", name, value)
            merged = name in ("keys", "layouts")
            values[name] = {**values.get(name, {}), **checked} if merged else checked
            origin[name] = f"{file.path}: {TABLE}.{name}"
    for variable, name in _VARIABLES.items():
        if environ.get(variable):
            values[name] = _checked(variable, name, environ[variable], text=True)
            origin[name] = variable
    for name, value in flags.items():
        if value is not None:
            origin[name] = f"--{name.removesuffix('_s')}"
            values[name] = _checked(origin[name], name, value)
    if "theme" in values:
        _check_theme(values["theme"], origin["theme"])
    if "layout" in values or "layouts" in values:
        _check_layouts(values.get("layouts", {}), values.get("layout"), origin)
    if "keys" in values:
        from tuitrain.tui.keymap import check_keys

        check_keys(values["keys"], origin["keys"])
    given = frozenset(values)
    values.setdefault("ascii", not _speaks_unicode())
    return LoadedSettings(Settings(**values), given)


def _checked(where: str, name: str, value: Any, *, text: bool = False) -> Any:
    """The value as the setting's type; text: it comes from a variable, so it is read leniently."""
    if name == "keys" and isinstance(value, dict):
        from tuitrain.tui.keymap import key_names

        value = {action: key_names(keys) for action, keys in value.items()}
    if name in _ENTRIES and isinstance(value, dict):
        _check_entries(where, name, value)
    try:
        return msgspec.convert(value, _FIELDS[name].type, strict=not text)
    except msgspec.ValidationError as error:
        expected = _description(name)
        raise SettingsError(f"{_given(where, value)} is not valid: it should be {expected}.") from error


def _check_entries(where: str, name: str, table: dict[str, Any]) -> None:
    for key, entry in table.items():
        if not isinstance(entry, list) or not all(isinstance(each, str) for each in entry):
            raise SettingsError(f"{where}.{key} = {_shown(entry)} is not valid: it should be {_ENTRIES[name]}.")


def valid(name: str, value: Any) -> bool:
    """Whether a value may be that of a setting."""
    try:
        msgspec.convert(value, _FIELDS[name].type)
    except msgspec.ValidationError:
        return False
    return True


def settings_schema() -> dict[str, Any]:
    """JSON Schema of a settings file."""
    from tuitrain.tui.registry import ACTIONS

    screens = msgspec.json.schema(Settings)["$defs"]["Settings"]
    key = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    descriptions = {action.id: {**key, "description": action.help} for action in ACTIONS}
    screens["properties"]["keys"] |= {"properties": descriptions, "additionalProperties": False}
    properties = {"runs_dir": {"type": "string", "description": "where runs lie"}, TABLE: screens}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _description(name: str) -> str:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"][name]
    return str(schema["description"])


def _given(where: str, value: Any) -> str:
    """A flag, variable or key with the value that it has."""
    return f"{where}{': ' if where.startswith('--') else ' = '}{_shown(value)}"


def _shown(value: Any) -> str:
    """A value as TOML writes it, as far as a sentence needs it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{…}"
    return f'"{value}"' if isinstance(value, str) else str(value).replace("'", '"')


def _check_theme(theme: str, where: str) -> None:
    if theme in THEMES:
        return
    from textual.theme import BUILTIN_THEMES

    if theme not in BUILTIN_THEMES:
        raise SettingsError(f"{_given(where, theme)} is not valid: it should be {_description('theme')}.")


def _check_layouts(own: Mapping[str, list[str]], first: str | None, origin: Mapping[str, str]) -> None:
    from tuitrain.plots.panels import PANELS
    from tuitrain.tui.layouts import OWN, SHIPPED, parse

    for name, panels in own.items():
        _, unknown = parse(panels)
        if unknown or not panels:
            known = ", ".join(panel.id for panel in PANELS)
            wrong = f"there is no panel {', '.join(unknown)}" if unknown else "it has no panels"
            raise SettingsError(f"{origin['layouts']}.{name}: {wrong}. Known: {known}; loss:2 is two columns wide.")
    # The one that is made on the screen may not exist yet, so it is taken and not offered.
    if first is not None and first not in (*SHIPPED, *own, OWN):
        known = ", ".join(dict.fromkeys([*SHIPPED, *own]))
        raise SettingsError(f"{_given(origin['layout'], first)} is not one of {known}.")


def _speaks_unicode() -> bool:
    """Whether what is written to the terminal may hold braille and box characters."""
    return "utf" in (getattr(sys.stdout, "encoding", None) or "ascii").lower()
