"""The presets: one TOML file each, shipped with the package."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tuitrain.config.errors import quoted, suggest


class UnknownPresetError(LookupError):
    """No preset has that name; the message suggests the most similar one."""


@dataclass(frozen=True)
class Preset:
    """A preset: its name, a line that describes it, its other names, and its file."""

    name: str
    title: str
    aliases: tuple[str, ...]
    path: Path

    def tree(self) -> dict[str, Any]:
        """The raw configuration tree of the file, without its `about` table."""
        tree = tomllib.loads(self.path.read_text(encoding="utf-8"))
        tree.pop("about", None)
        return tree


def directory() -> Path:
    """The directory of the presets: in an installed wheel, or in the repository of an editable install."""
    packaged = Path(__file__).parent.parent / "_presets"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "presets"


@cache
def all_presets() -> dict[str, Preset]:
    """Every preset by name, in the order of names."""
    presets = {}
    for path in sorted(directory().glob("*.toml")):
        about = tomllib.loads(path.read_text(encoding="utf-8")).get("about", {})
        presets[path.stem] = Preset(path.stem, about.get("title", ""), tuple(about.get("aliases", ())), path)
    return presets


def find(name: str) -> Preset:
    """The preset with this name or alias; raises UnknownPresetError."""
    known = all_presets()
    if name in known:
        return known[name]
    for preset in known.values():
        if name in preset.aliases:
            return preset
    names = [*known, *(alias for preset in known.values() for alias in preset.aliases)]
    raise UnknownPresetError(
        f"No preset is named {quoted(name)}.{suggest(name, names)} `tuitrain presets` lists them; "
        "a file is given by its path, such as ./my-run.toml."
    )
