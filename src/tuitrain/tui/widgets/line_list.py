"""An option list of lines with roles, for screens whose own keys move the highlight."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.text import Line

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
        prompts = [self._prompt(line) for _, line in rows]
        if [option.id for option in self.options] == [name for name, _ in rows]:
            for index, (option, prompt) in enumerate(zip(self.options, prompts, strict=True)):
                if option.prompt != prompt:
                    self.replace_option_prompt_at_index(index, prompt)
        else:
            options = zip(rows, prompts, strict=True)
            self.set_options(Option(prompt, id=name, disabled=name is None) for (name, _), prompt in options)
        known = highlighted is not None and any(name == highlighted for name, _ in rows)
        self.highlighted = self.get_option_index(highlighted) if known and highlighted is not None else None

    def render_line(self, y: int) -> Strip:
        """A row of the widget; the highlighted one has the palette's cursor, which in some themes is reversed text."""
        strip = super().render_line(y)
        if y + self.scroll_offset.y != self.highlighted:
            return strip
        return Strip(Segment.apply_style(strip, post_style=self.app.palette["cursor"]))

    def _prompt(self, line: Line) -> Text:
        """A line in the colours of the theme, on the background that the list gives it."""
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        for span in line:
            style = self.app.palette[span.role]
            text.append(span.text, Style(color=style.color, bold=style.bold, dim=style.dim))
        return text
