"""An option list of lines with roles, for screens whose own keys move the highlight."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.strip import Strip
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.text import Line
from tuitrain.tui.widgets.table import rich_text

Row = tuple[str | None, Line]
"""A line and its id; None for a line that cannot be chosen."""


class LineList(OptionList, can_focus=False):
    """One line an option. A click on one that has an id posts OptionSelected."""

    app: BaseApp

    def on_resize(self) -> None:
        # Rows are made for the width; a list that was hidden has none yet.
        self.app.redraw()
        self.scroll_to_highlight()

    def show(self, rows: Sequence[Row], highlighted: str | None = None) -> None:
        """Show these rows, with the one of this id highlighted; unchanged lines are not drawn again."""
        prompts = [rich_text(line, self.app.console) for _, line in rows]
        if [option.id for option in self.options] == [name for name, _ in rows]:
            for index, (option, prompt) in enumerate(zip(self.options, prompts, strict=True)):
                if option.prompt != prompt:
                    self.replace_option_prompt_at_index(index, prompt)
        else:
            options = zip(rows, prompts, strict=True)
            self.set_options(Option(prompt, id=name, disabled=name is None) for (name, _), prompt in options)
        self.highlighted = next((index for index, (name, _) in enumerate(rows) if name and name == highlighted), None)

    def render_line(self, y: int) -> Strip:
        """A row of the widget; the highlighted one has the palette's cursor, which in some themes is reversed text."""
        strip = super().render_line(y)
        if y + self.scroll_offset.y != self.highlighted:
            return strip
        return Strip(Segment.apply_style(strip, post_style=self.app.palette["cursor"]))
