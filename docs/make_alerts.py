"""Writes the table of rules in docs/alerts.md from their declarations."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path

import msgspec
import tomli_w

from tuitrain.alerts.rules import RULES, Rule

PAGE = Path(__file__).resolve().parent / "alerts.md"
BEGIN, END = "<!-- rules: made by docs/make_alerts.py -->\n", "<!-- end of rules -->\n"
_COMMON = {field.name for field in msgspec.structs.fields(Rule)} - {"level", "cooldown"}


def table() -> str:
    """A row for each rule: its name, level and cool-down, what it finds, its other keys with their defaults."""
    rows = ["| rule | level | cool-down | finds | keys |", "|---|---|---|---|---|"]
    for name, kind in RULES.items():
        fields = {field.name: field.default for field in msgspec.structs.fields(kind) if field.name not in _COMMON}
        keys = "<br>".join(
            f"`{_toml(key, value)}`" for key, value in fields.items() if key not in ("level", "cooldown")
        )
        text = " ".join(inspect.cleandoc(kind.__doc__ or "").split())
        rows.append(f"| `{name}` | {fields['level']} | {fields['cooldown']} | {text} | {keys} |")
    return "\n".join(rows) + "\n"


def _toml(key: str, value: object) -> str:
    line = tomli_w.dumps({key: value}).strip()
    assert tomllib.loads(line) == {key: value}
    return line


def page(text: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
