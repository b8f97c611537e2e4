"""The driver writes only the cells that change, and the terminal shows the same."""

from __future__ import annotations

import pyte
from hypothesis import example, given
from hypothesis import strategies as st
from rich.style import Style

from tuitrain.tui.driver import TerminalCells

COLOURS = st.sampled_from([None, "red", "bright_blue", "color(77)", "#112233", "#aabbcc"])
STYLES = st.builds(
    Style, color=COLOURS, bgcolor=COLOURS, bold=st.booleans(), underline=st.booleans(), reverse=st.booleans(),
    italic=st.booleans(),
)  # fmt: skip
TEXTS = st.text(st.sampled_from("ab ⣿█世"), max_size=6)
POSITIONS = st.builds("\x1b[{};{}H".format, st.integers(1, 5), st.integers(1, 8))
# As Textual writes: a move, pieces of text, each with its style.
TEXT = st.builds(
    lambda move, pieces: move + "".join(style.render(text) for style, text in pieces),
    POSITIONS, st.lists(st.tuples(STYLES, TEXTS), min_size=1, max_size=1),
)  # fmt: skip
OTHER = st.sampled_from(
    [
        "\x1b[K",
        "\x1b[2J",
        "\x1b[?25l",
        "\x1b[?2026h",
        "\x1b[m",
        "\x1b[4;31m",
        "\x1b[24;39m",
        "\n",
        "\x07",
        "\x1b[?1049h",
    ]
)
PIECES = st.one_of(TEXT, TEXT, TEXT, POSITIONS, OTHER)


def screen(stream: str) -> object:
    shown = pyte.Screen(24, 8)
    pyte.Stream(shown).feed(stream)
    return [[shown.buffer[row][column] for column in range(24)] for row in range(8)]


@given(st.lists(PIECES, max_size=25), st.integers(0, 25))
@example(["\x1b[4;31m", "\x1b[1;1H", "\x1b[24;39m", "\x1b[4ma\x1b[0m"], 0)
@example(["\x1b[1;1H世", "\x1b[1;2Ha", "\x1b[1;1H世"], 1)
def test_the_screen_is_the_same(pieces: list[str], cut: int) -> None:
    cells = TerminalCells()
    written = cells("".join(pieces[:cut])) + cells("".join(pieces[cut:]))
    assert screen(written) == screen("".join(pieces))


def test_only_cells_that_change_are_written() -> None:
    cells = TerminalCells()
    style = Style(color="#112233", bgcolor="#445566")
    cells("\x1b[2;3H" + style.render("step 1,000 of 2,000"))
    assert cells("\x1b[2;3H" + style.render("step 1,001 of 2,000")) == (
        "\x1b[2;12H\x1b[0;38;2;17;34;51;48;2;68;85;102m1\x1b[2;22H\x1b[m"
    )
    assert cells("\x1b[2;3H" + style.render("step 1,001 of 2,000")) == ""


def test_after_a_change_of_size_everything_is_written() -> None:
    cells = TerminalCells()
    assert cells("\x1b[1;1Habc") == "\x1b[1;1Habc"
    cells.forget()
    assert cells("\x1b[1;1Habc") == "\x1b[1;1Habc"
