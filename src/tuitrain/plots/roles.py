"""Roles of the runs of a chart, by which a palette colours their curves, and their glyphs."""

from __future__ import annotations

RUN_COLOURS = 6
"""Number of colours; runs take them in turn."""
GLYPHS = "●▲■◆▼✚"
"""Glyphs that runs take in turn, so that they differ without colour."""
HOLLOW_GLYPHS = "○△□◇▽✛"
"""The same for their validation."""


def run_role(index: int) -> str:
    """The role of the index-th run of a chart."""
    return f"run{index % RUN_COLOURS}"


def glyph(index: int) -> str:
    """The glyph of the index-th run of a chart: after a round of colours the next glyph, so that 36 runs differ."""
    return GLYPHS[(index + index // RUN_COLOURS) % len(GLYPHS)]


def hollow_glyph(index: int) -> str:
    """The glyph of the validation of the index-th run, where there are several."""
    return HOLLOW_GLYPHS[GLYPHS.index(glyph(index))]
