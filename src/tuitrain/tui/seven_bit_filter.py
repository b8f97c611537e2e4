"""The seven-bit signs for everything that Textual draws."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tuitrain.events.seven_bit import seven_bit


class SevenBit(LineFilter):
    """Replaces the signs in all that is drawn: frames, scroll bars and notices of Textual's own widgets, too."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(seven_bit(text), style, control) for text, style, control in segments]
