"""Themes: what can be read in them, told apart in them, and how one is chosen."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest
from textual.color import Color
from textual.command import CommandPalette
from textual.theme import BUILTIN_THEMES, Theme
from textual.widgets import Input, OptionList

from tests.tui.conftest import running, until
from tuitrain.plots.roles import RUN_COLOURS, glyph, run_role
from tuitrain.runs import RunDirectory
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.settings import THEMES, Settings
from tuitrain.tui.theme import (
    HEAT_LEVELS,
    SHIPPED,
    Palette,
    contrast,
    palette_of,
    terminal_palette,
)

Array = npt.NDArray[np.float64]

OURS = [theme for theme in SHIPPED if not theme.ansi]
COLOUR_BLIND = [theme for theme in OURS if theme.name.startswith("colour-blind")]
LEGIBLE = ("text", "value", "title", "quiet", "axis", "accent", "val", "good", "warn", "bad", "key", "on")
CURVES = [*(f"run{index}" for index in range(RUN_COLOURS)), "val"]

# Machado, Oliveira, Fernandes 2009, severity 1: how linear RGB looks to somebody with that colour blindness.
SEEN = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Ottosson 2020: linear RGB to cone responses, their cube roots to OKLab.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

DECORATION = frozenset(("frame", "grid", "series", "cursor"))
"""Roles that carry nothing to read: they may be fainter than 3 : 1."""


def colour(palette: Palette, role: str) -> Color:
    found = palette[role].color
    assert found is not None
    return Color.from_rich_color(found)


def oklab(colours: list[Color], seen: Array) -> Array:
    values = np.array([list(each.normalized) for each in colours])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    cones = np.clip(linear @ seen.T, 0, 1) @ TO_CONES.T
    return np.cbrt(cones) @ TO_LAB.T


def least_distance(colours: list[Color], seen: Array) -> float:
    """The least distance between any two, in OKLab, in which black and white are 1 apart."""
    points = oklab(colours, seen)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return float(apart[np.triu_indices(len(points), 1)].min())


def test_the_themes_are_those_that_the_settings_name() -> None:
    assert [theme.name for theme in SHIPPED] == list(THEMES)


@pytest.mark.parametrize("theme", OURS, ids=lambda theme: theme.name)
def test_everything_stands_out_from_the_background(theme: Theme) -> None:
    palette = palette_of(theme)
    background = Color.parse(theme.background or "")
    for role in palette.keys() - DECORATION - {"match"}:
        assert contrast(colour(palette, role), background) >= 3, role
    for role in [*LEGIBLE, *CURVES]:
        least = 7 if theme.name.startswith("contrast") and role not in ("quiet", "axis") else 4.5
        assert contrast(colour(palette, role), background) >= least, role
    assert contrast(background, Color.from_rich_color(palette["match"].bgcolor)) >= 4.5  # type: ignore[arg-type]
    cursor = Color.from_rich_color(palette["cursor"].bgcolor)  # type: ignore[arg-type]
    assert contrast(colour(palette, "text"), cursor) >= 4.5
    for role in [*LEGIBLE, *CURVES]:
        assert contrast(colour(palette, role), cursor) >= 3, role
    assert contrast(cursor, background) >= 1.1
    # The crosshair is a line to look past.
    assert contrast(colour(palette, "crosshair"), background) < contrast(colour(palette, "quiet"), background)


@pytest.mark.parametrize("theme", BUILTIN_THEMES.values(), ids=lambda theme: theme.name)
def test_textuals_own_themes_are_made_readable(theme: Theme) -> None:
    palette = palette_of(theme)
    assert palette.keys() == terminal_palette().keys()
    if not theme.ansi:
        background = Color.from_rich_color(palette["text"].bgcolor)  # type: ignore[arg-type]
        for role in palette.keys() - DECORATION - {"match"}:
            assert contrast(colour(palette, role), background) >= 3, role


@pytest.mark.parametrize("theme", OURS, ids=lambda theme: theme.name)
def test_no_two_curves_look_alike(theme: Theme) -> None:
    palette = palette_of(theme)
    assert least_distance([colour(palette, role) for role in CURVES], SEEN["normal"]) >= 0.07


def test_thirty_six_runs_differ_in_colour_or_mark() -> None:
    looks = {(run_role(index), glyph(index)) for index in range(36)}
    assert len(looks) == 36


@pytest.mark.parametrize("theme", COLOUR_BLIND, ids=lambda theme: theme.name)
@pytest.mark.parametrize("sight", SEEN)
def test_with_any_colour_blindness_curves_and_levels_stay_apart(theme: Theme, sight: str) -> None:
    palette = palette_of(theme)
    assert least_distance([colour(palette, role) for role in CURVES], SEEN[sight]) >= 0.1
    assert least_distance([colour(palette, role) for role in ("good", "warn", "bad")], SEEN[sight]) >= 0.1


@pytest.mark.parametrize("theme", OURS, ids=lambda theme: theme.name)
@pytest.mark.parametrize("sight", SEEN)
def test_the_heat_ramp_goes_from_faint_to_strong_for_everybody(theme: Theme, sight: str) -> None:
    palette = palette_of(theme)
    ramp = [colour(palette, f"heat{level}") for level in range(HEAT_LEVELS)]
    lightness = oklab(ramp, SEEN[sight])[:, 0]
    steps = np.diff(lightness) if theme.dark else -np.diff(lightness)
    assert (steps > 0.015).all(), lightness


def test_the_terminals_own_colours_are_left_to_the_terminal() -> None:
    palette = palette_of(next(theme for theme in SHIPPED if theme.ansi))
    for role in palette:
        for each in (palette[role].color, palette[role].bgcolor):
            assert each is None or each.is_system_defined, role


async def test_t_goes_through_the_themes_and_the_palette_of_commands_knows_them(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        seen = []
        for _ in THEMES:
            await pilot.press("t")
            await pilot.pause()
            seen.append(app.theme)
        assert sorted(seen) == sorted(THEMES)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        app.screen.query_one(Input).value = "theme contrast-light"
        found = app.screen.query_one(OptionList)
        await until(pilot, lambda: found.option_count > 0)
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.theme == "contrast-light")


@pytest.mark.parametrize("theme", [*THEMES, "nord"])
async def test_a_theme_of_the_settings_is_the_first(theme: str, run: RunDirectory) -> None:
    app = TuitrainApp("watch", [run], run.path.parent, settings=Settings(theme=theme), given={"theme"})
    async with app.run_test(size=(80, 24)):
        assert app.theme == theme
        assert app.palette["accent"] == palette_of(app.current_theme)["accent"]


async def test_without_colours_none_are_sent(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running("watch", [run], run.path.parent, theme="terminal") as (app, pilot):
        await pilot.press("t")
        colours = set(re.findall(r"fill: (#[0-9a-f]{6})", app.export_screenshot()))
        assert len(colours) <= 2 or app.native_ansi_color
        for y in range(app.size.height):
            for segment in app.screen._compositor.render_strips()[y]:
                style = segment.style
                for filter_ in app._filters:
                    if filter_.enabled and style is not None:
                        [after] = filter_.apply([segment], Color.parse("black"))
                        style = after.style
                assert style is None or style.color is None or style.color.is_default


@pytest.mark.parametrize("name", [name for name in BUILTIN_THEMES if "ansi" not in name])
def test_text_and_curves_are_readable_in_every_theme(name: str) -> None:
    palette = palette_of(BUILTIN_THEMES[name])
    for role in ("text", "quiet", "val", "good", "warn", "bad", "accent", *(f"run{n}" for n in range(6))):
        style = palette[role]
        assert style.color is not None
        assert style.bgcolor is not None
        assert contrast(Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)) >= 3, role


def test_both_palettes_have_the_same_roles() -> None:
    assert palette_of(BUILTIN_THEMES["textual-dark"]).keys() == terminal_palette().keys()
