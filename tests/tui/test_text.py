"""Lines of styled text: width, cropping, wrapping, bars."""

from __future__ import annotations

import re
from itertools import product

from rich.cells import cell_len

from tuitrain.tui.content.headline import bar
from tuitrain.tui.text import Span, crop, fit, line, marked, plain, spread, width, wrap


def test_a_bar_has_the_requested_width() -> None:
    for fraction, cells in product((0, 0.001, 0.33, 0.999, 1, 7), (1, 6, 40)):
        assert width(bar(fraction, cells)) == cells
    assert plain(bar(0.5, 4)) == "██░░"


def test_lines_are_cropped_and_padded_by_cells() -> None:
    wide = line("日本語", Span("abc", "quiet"))
    assert width(wide) == 9
    assert [width(crop(wide, cells)) for cells in range(10)] == list(range(10))
    assert width(fit(wide, 20)) == 20
    assert plain(crop(line("abcdef"), 4)) == "abc…"
    assert plain(spread([line("a"), line("b"), line("c")], 9) or ()) == "a   b   c"
    assert spread([line("abc"), line("def")], 7) is None


def test_wrapping_keeps_every_word() -> None:
    text = "the quick brown fox jumps over the lazy dog and an-unbreakably-long-word-that-must-be-cut"
    rows = wrap(text, 12)
    assert all(cell_len(row) <= 12 for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())
    assert wrap("    indented", 40) == ["    indented"]


def test_matches_of_a_pattern_have_a_role_of_their_own() -> None:
    spans = marked("foo bar o", "text", re.compile("o+"))
    assert plain(spans) == "foo bar o"
    assert [span.text for span in spans if span.role == "match"] == ["oo", "o"]
    assert plain(marked("abc", "text", re.compile("x*"))) == "abc"
