"""The themes that come with tuitrain, and roles to colours: a palette made from a theme of Textual's.

The colours of the themes are in `styles/themes.toml`. A variable there that is not Textual's (`run-1` to `run-5`,
`validation`) is read by `palette_of`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

from tuitrain.plots.roles import RUN_COLOURS, run_role
from tuitrain.plots.terminal import STYLES

_TABLES = tomllib.loads((Path(__file__).parent / "styles" / "themes.toml").read_text("utf-8"))
SHIPPED = tuple(Theme(name, **table) for name, table in _TABLES.items())
DARK, LIGHT = "dark", "light"

HEAT_LEVELS = 8
"""Steps of the ramp of a heat map, `heat0` to `heat7`, each further from the background than the one before."""

# For themes that do not say. Amber and red are left out: they mean trouble.
_HUES = ("#35c4a0", "#c678dd", "#9aa83a", "#4cb8e8", "#e58fb1")
_VALIDATION = "#c678dd"
_RAMP = ("#5b4b9f", "#3f6fb0", "#2f8fa8", "#2aa58a", "#5ab35c", "#9abb3a", "#d6bf3a", "#f2d64b")
ON_CURSOR = ("text", "value", "quiet", "axis", "accent", "val", "good", "warn", "bad",
             *(f"run{index}" for index in range(RUN_COLOURS)))  # fmt: skip
"""Roles that stand on a line with the cursor."""
_CONTRAST = 4.5
_LEAST_CONTRAST = 3.0
_TOP_HEAT = 15.0
_CURSOR_PARTS = 30
"""The most of the accent in the background of a line with the cursor, in hundredths."""


Palette = dict[str, Style]
"""The style of each role."""


def palette_of(theme: Theme) -> Palette:
    """The palette for a Textual theme: text and curves at least 4.5 : 1 against the background, all else 3 : 1.

    Frames, grid and tracks are decoration and fainter. A theme of the terminal's own colours is left to the terminal.
    """
    if theme.ansi:
        return terminal_palette()
    background = Color.parse(theme.background or ("#121212" if theme.dark else "#e0e0e0"))
    text = Color.parse(theme.foreground or ("#e0e0e0" if theme.dark else "#1f1f1f"))

    away = _away(background)

    def legible(colour: Color, ratio: float = _CONTRAST) -> Color:
        """The colour, moved towards white or black until its contrast with the background reaches the ratio."""
        return _first(_mixtures(colour, away), background, ratio, away)

    def readable(colour: str | None, fallback: str) -> Color:
        return legible(Color.parse(colour or fallback))

    def faint(colour: Color) -> Color:
        """The colour, moved towards the background as far as 3 : 1 allows."""
        return _first(_mixtures(background, colour)[2:], background, _LEAST_CONTRAST, colour)

    quiet = legible(background.blend(text, 0.55))
    middle = legible(background.blend(text, 0.5), _LEAST_CONTRAST)
    accent = readable(theme.primary, "#0178d4")
    validation = readable(theme.variables.get("validation"), _VALIDATION)
    warn = readable(theme.warning, "#d9902f")
    bad = readable(theme.error, "#d0435f")
    good = readable(theme.success, "#3fae63")
    colours: dict[str, Color] = {
        "text": text, "value": text, "quiet": quiet, "axis": quiet, "accent": accent, "val": validation,
        "good": good, "warn": warn, "bad": bad,
        "frame": background.blend(text, 0.25), "frame.focus": accent,
        "grid": background.blend(text, 0.13), "series": background.blend(text, 0.2),
        "level": middle,
        "clip": faint(warn), "superseded": faint(text),
        "marker.checkpoint": good, "marker.eval": validation, "marker.restart": warn, "marker.alert": bad,
        "crosshair": middle,
    }  # fmt: skip
    hues = (theme.variables.get(f"run-{index}", hue) for index, hue in enumerate(_HUES, start=1))
    for index, colour in enumerate((accent, *(readable(hue, hue) for hue in hues))):
        colours[run_role(index)] = colour
        colours[f"{run_role(index)}.faint"] = faint(colour)
    # Equal ratios of contrast with the background, from 3 to that of the text.
    growth = min(contrast(text, background), _TOP_HEAT) / _LEAST_CONTRAST
    for level, hue in enumerate(map(Color.parse, _RAMP)):
        path = [*_mixtures(away.inverse, hue, 40), *_mixtures(hue, away, 40)]
        ratio = _LEAST_CONTRAST * growth ** (level / (HEAT_LEVELS - 1))
        colours[f"heat{level}"] = _first(path, background, ratio, away)
    ground = background.rich_color
    styles = {role: Style(color=colour.rich_color, bgcolor=ground) for role, colour in colours.items()}
    for role, colour in (("title", text), ("run.name", text), ("key", accent), ("on", accent)):
        styles[role] = Style(color=colour.rich_color, bgcolor=ground, bold=True)
    styles["on"] += Style(underline=True)
    styles["match"] = Style(color=ground, bgcolor=warn.rich_color, bold=True)
    # As much of the accent as leaves the texts on it 3 : 1.
    texts = [colours[role] for role in ON_CURSOR]
    grounds = reversed(_mixtures(background, accent, 100)[1 : _CURSOR_PARTS + 1])
    cursor = next((each for each in grounds if all(contrast(text, each) >= _LEAST_CONTRAST for text in texts)), None)
    styles["cursor"] = Style(bgcolor=(cursor or background).rich_color)
    return styles


def terminal_palette() -> Palette:
    """The terminal's own sixteen colours."""
    return {role: Style.parse(word) for role, word in STYLES.items()}


def contrast(one: Color, other: Color) -> float:
    """WCAG contrast ratio of two opaque colours, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Color) -> float:
    """Relative luminance as WCAG 2 defines it."""

    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(channel / 255) for channel in (colour.r, colour.g, colour.b))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _away(background: Color) -> Color:
    """White or black, whichever is further from the background."""
    return Color.parse("#ffffff" if _luminance(background) < 0.2 else "#000000")


def _mixtures(start: Color, end: Color, steps: int = 20) -> list[Color]:
    """Colours from one to another, both included."""
    return [start.blend(end, step / steps) for step in range(steps + 1)]


def _first(colours: Iterable[Color], background: Color, ratio: float, otherwise: Color) -> Color:
    """The first of the colours whose contrast with the background reaches the ratio."""
    return next((colour for colour in colours if contrast(colour, background) >= ratio), otherwise)
