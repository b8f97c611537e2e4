"""A filter of all that Textual draws, so that text of logs and files never controls the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter
from textual.notifications import SeverityLevel

from tuitrain.seven_bit import encodable, seven_bit
from tuitrain.text import clean, clean_lines, terminal_encoding

NOTICE_S, ERROR_S = 6.0, 12.0


class InertFilter(LineFilter):
    """Replaces, cell for cell, control characters and what the terminal cannot show.

    encoding: the terminal's. signs_in_ascii: whether charts and frames are drawn without braille and box characters.
    """

    def __init__(self, encoding: str, signs_in_ascii: bool) -> None:
        super().__init__()
        self._encoding = encoding
        self._signs_in_ascii = signs_in_ascii

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(self._shown(text), style, control) for text, style, control in segments]

    def _shown(self, text: str) -> str:
        if not text.isprintable():
            text = "".join(map(_inert, text))
        if self._signs_in_ascii:
            text = seven_bit(text)
        replaced = encodable(text, self._encoding)
        return text if replaced == text else "".join(self._encodable(character) for character in text)

    def _encodable(self, character: str) -> str:
        return set_cell_size(encodable(character, self._encoding), cell_len(character))


def _inert(character: str) -> str:
    return character if character.isprintable() else set_cell_size(clean(character), cell_len(character))


class InertApp(App[None]):
    """An app that shows text of logs and files as text: never as control codes, never as markup."""

    signs_in_ascii = False

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._filter]

    @cached_property
    def _filter(self) -> LineFilter:
        # While an app runs, `sys.stdout` is Textual's.
        return InertFilter(terminal_encoding(sys.__stdout__), self.signs_in_ascii)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a sentence for a while, an error for longer."""
        seconds = timeout or (ERROR_S if severity == "error" else NOTICE_S)
        super().notify(clean(message), title=clean(title), severity=severity, timeout=seconds, markup=markup)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy a text without control codes: it may be pasted into a terminal."""
        super().copy_to_clipboard(clean_lines(text))
