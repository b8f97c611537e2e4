"""Updates of the screen that hold only the cells that changed.

Textual's own write each changed part of a line from the left edge of its widget on. This leans on two things of Textual
that are not public, `App._display` and `ChopsUpdate`: pyproject.toml names its exact version, and a test would show a
change.
"""

from __future__ import annotations

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate


class NarrowUpdate(ChopsUpdate):
    """The same update, cut to the extents of its spans on both sides."""

    @classmethod
    def of(cls, update: ChopsUpdate) -> NarrowUpdate:
        """The narrow form of an update."""
        return cls(update.chops, update.spans, update.chop_ends)

    def render_segments(self, console: Console) -> str:
        """What is written to the terminal: for each span a move of the cursor, then its text."""
        written: list[str] = []
        for y, first, last in self.spans:
            for end, (start, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                left, right = max(start, first), min(end, last)
                if strip is None or left >= right:
                    continue
                written.append(Control.move_to(left, y).segment.text)
                written.append(strip.crop(left - start, right - start).render(console))
        return "".join(written)
