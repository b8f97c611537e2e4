"""The driver writes fewer bytes and the terminal shows the same."""

from __future__ import annotations

import pyte
from hypothesis import example, given
from hypothesis import strategies as st
from rich.style import Style

from tuitrain.tui.driver import Thrift

COLOURS = st.sampled_from([None, "red", "bright_blue", "color(77)", "#112233", "#aabbcc"])
STYLES = st.builds(
    Style, color=COLOURS, bgcolor=COLOURS, bold=st.booleans(), underline=st.booleans(), reverse=st.booleans(),
    italic=st.booleans(),
)  # fmt: skip
TEXTS = st.text(st.sampled_from("ab ⣿█\n"), max_size=6)
MOVES = st.builds("\x1b[{};{}H".format, st.integers(1, 5), st.integers(1, 20))
OTHER = st.sampled_from(["\x1b[K", "\x1b[2J", "\x1b[?25l", "\x1b[?2026h", "\x1b[m", "\x1b[4;31m", "\x1b[24;39m"])
PIECES = st.one_of(st.builds(lambda style, text: style.render(text), STYLES, TEXTS), MOVES, OTHER)


def screen(stream: str) -> object:
    shown = pyte.Screen(20, 5)
    pyte.Stream(shown).feed(stream)
    cells = [
        [_visible(shown.buffer[row][column]) for column in range(20)] for row in range(5)
    ]  # fmt: skip
    return cells, (shown.cursor.x, shown.cursor.y)


def _visible(cell: pyte.screens.Char) -> object:
    """What the eye sees of a cell: a blank has no foreground."""
    if cell.data == " " and not (cell.underscore or cell.reverse or cell.strikethrough):
        return " ", cell.bg
    return cell


@given(st.lists(PIECES, max_size=25), st.integers(0, 25))
@example(["\x1b[4;31m", "\x1b[24;39m", "\x1b[4ma\x1b[0m"], 0)
def test_the_screen_is_the_same(pieces: list[str], cut: int) -> None:
    thrift = Thrift()
    written = thrift("".join(pieces[:cut])) + thrift("".join(pieces[cut:]))
    assert screen(written) == screen("".join(pieces))


def test_a_colour_that_is_there_is_not_said_again() -> None:
    style = Style(color="#112233", bgcolor="#445566")
    stream = style.render("a") + "\x1b[2;3H" + style.render("b")
    assert Thrift()(stream) == "\x1b[38;2;17;34;51;48;2;68;85;102ma\x1b[2;3Hb"


def test_only_what_changes_is_said() -> None:
    thrift = Thrift()
    thrift(Style(color="#112233", bgcolor="#445566").render("a"))
    assert thrift(Style(color="#ffffff", bgcolor="#445566").render("b")) == "\x1b[38;2;255;255;255mb"
    assert thrift(Style(color="red", bgcolor="#445566").render("  ")) == "  "
