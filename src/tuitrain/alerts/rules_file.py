"""Reading the rules of alerts from the settings files, or from a file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec

from tuitrain.alerts.condition import FORM, parse_condition
from tuitrain.alerts.rules import CODES, DELIVERY, RULES, Rule, Rules, When
from tuitrain.alerts.spans import parse_span
from tuitrain.settings import SettingsError, converted, given_value, read_toml, settings_files, unknown_key

TABLE, CONDITIONS = "alerts", "when"
_USERS_OWN = ("notify", "command")
"""Keys that start programs or hold secrets: the file of a project, which somebody else may have written, has none."""


def load_rules(file: Path | None = None) -> Rules:
    """The rules of the user's and the project's settings files, and of a file of rules, which counts most.

    Raises SettingsError with one sentence, and OSError for a file that is not there.
    """
    merged: dict[str, Any] = {}
    for settings in reversed(settings_files()):
        table = settings.values.get(TABLE)
        if table is not None:
            _merge(merged, _checked(settings.path, table, own=not settings.of_project))
    if file is not None:
        _merge(merged, _checked(file, _table_of(file)))
    return _made(merged)


def parse_rules(table: Mapping[str, Any], where: str = TABLE) -> Rules:
    """The rules of one [alerts] table. Raises SettingsError with one sentence."""
    return _made(_checked(where, table))


def rules_schema() -> dict[str, Any]:
    """JSON Schema of the [alerts] table; what it refers to is in its `$defs`."""
    _, parts = msgspec.json.schema_components([Rules], ref_template="#/$defs/{name}")
    table = parts.pop("Rules")
    for name in RULES:
        table["properties"][name] = {"anyOf": [{"type": "boolean"}, {"$ref": table["properties"][name]["$ref"]}]}
    table["properties"][CONDITIONS]["additionalProperties"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/When"}]}
    for part in (table, *parts.values()):
        for name in ("do", "notify"):
            if name in part["properties"]:
                part["properties"][name] = {"anyOf": [{"type": "string"}, part["properties"][name]]}
        part["additionalProperties"] = False
    return {**table, "$defs": parts}


def _table_of(file: Path) -> Any:
    tree = read_toml(file)
    for key in tree:
        if key != TABLE:
            raise SettingsError(f"{file}: {key} is not a table of rules. All of them stand below [{TABLE}].")
    return tree.get(TABLE, {})


def _checked(path: Path | str, table: Any, own: bool = True) -> dict[str, Any]:
    """The values of a table, each checked, by rule and key. own: whether it may start programs."""
    where = str(path)
    if not isinstance(table, dict):
        raise SettingsError(f"{where}: {TABLE} should be a table: write [{TABLE}] above its keys.")
    checked: dict[str, Any] = {}
    for name, value in table.items():
        key = f"{where}: {TABLE}.{name}"
        if name in _USERS_OWN and not own:
            raise _not_of_a_project(key)
        if name == CONDITIONS:
            checked[name] = _conditions(key, value, own)
        elif name in RULES:
            checked[name] = _rule(key, RULES[name], value, own)
        elif name in DELIVERY:
            checked[name] = _value(key, Rules, name, value)
        else:
            raise unknown_key(where, name, (*RULES, CONDITIONS, *DELIVERY), f"{TABLE}.")
    return checked


def _conditions(where: str, tables: Any, own: bool) -> dict[str, dict[str, Any]]:
    if not isinstance(tables, dict):
        raise SettingsError(f'{where} should be a table of conditions by name, such as low-reward = "{FORM}".')
    return {name: _condition(where, name, value, own) for name, value in tables.items()}


def _condition(where: str, name: str, value: Any, own: bool) -> dict[str, Any]:
    if name in CODES:
        raise SettingsError(f"{where}.{name}: {name} is the name of a rule that is there already; take another one.")
    checked = _rule(f"{where}.{name}", When, {"condition": value} if isinstance(value, str) else value, own)
    if "condition" not in checked:
        raise SettingsError(f"{where}.{name}.condition: it is missing; it should be {FORM}.")
    return checked


def _rule(where: str, kind: type[Rule], value: Any, own: bool) -> dict[str, Any]:
    """The keys of one rule; false turns it off, true on."""
    if isinstance(value, bool):
        return {"enabled": value}
    if not isinstance(value, dict):
        raise SettingsError(f"{given_value(where, value)} is not valid: it should be a table of its keys, or false.")
    names = [field.name for field in msgspec.structs.fields(kind)]
    file, _, prefix = where.partition(": ")
    checked = {}
    for name, each in value.items():
        if name not in names:
            raise unknown_key(file, name, names, f"{prefix}.")
        if name in _USERS_OWN and not own:
            raise _not_of_a_project(f"{where}.{name}")
        checked[name] = _value(f"{where}.{name}", kind, name, each)
    return checked


def _value(where: str, kind: type[msgspec.Struct], name: str, value: Any) -> Any:
    field_type = _field_types(kind)[name]
    if name in ("do", "notify") and isinstance(value, str):
        value = [value]
    expected = str(get_args(field_type)[1].description)
    texts = value if name == "notify" and isinstance(value, list) else [value]
    if name in _USERS_OWN and not all(isinstance(each, str) for each in texts):
        # The value may be a secret.
        raise SettingsError(f"{where} is not valid: it should be {expected}.")
    read = converted(where, value, field_type, expected)
    parse = {"cooldown": parse_span, "forget": parse_span, "condition": parse_condition}.get(name)
    if parse is not None:
        try:
            parse(read)
        except ValueError as error:
            raise SettingsError(f"{where}: {error}.") from None
    return read


@cache
def _field_types(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def _not_of_a_project(where: str) -> SettingsError:
    return SettingsError(
        f"{where}: the settings of a project start no programs and hold no addresses. Put it into your own settings or "
        "into a file for --rules."
    )


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    """Put the values of a table above those that are there."""
    for name, value in table.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def _made(values: dict[str, Any]) -> Rules:
    made: dict[str, Any] = {name: RULES[name](**value) if name in RULES else value for name, value in values.items()}
    made[CONDITIONS] = {name: When(**value) for name, value in values.get(CONDITIONS, {}).items()}
    return Rules(**made)
