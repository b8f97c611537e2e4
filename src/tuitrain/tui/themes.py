"""The themes that come with tuitrain, as Textual knows them; their colours are in `styles/themes.toml`.

A variable of a theme that is not Textual's (`run-1` to `run-5`, `validation`) is read by `palette_of`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from textual.theme import Theme

_TABLES = tomllib.loads((Path(__file__).parent / "styles" / "themes.toml").read_text("utf-8"))
SHIPPED = tuple(Theme(name, **table) for name, table in _TABLES.items())
