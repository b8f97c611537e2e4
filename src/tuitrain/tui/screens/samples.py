"""What the model wrote, step by step: one step beside another."""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import Container
from textual.widget import Widget

from tuitrain.events import Sample
from tuitrain.tui.actions import bindings
from tuitrain.tui.content.samples import CHOSEN, OTHER, heading, sample_lines, sample_steps, strip
from tuitrain.tui.screens.run_actions import RunActions
from tuitrain.tui.text import Line, Span, fit, line, wrap
from tuitrain.tui.view_state import RunView
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

SIDE_BY_SIDE_CELLS = 100
STACKED_ROWS = 12
"""A body with fewer rows shows only the chosen step."""


class SamplesScreen(RunActions):
    """The chosen step, which is the newest until somebody chooses, and another one to compare it with."""

    BINDINGS = bindings("samples")
    DEFAULT_CSS = """
    SamplesScreen #sides { layout: grid; grid-gutter: 0 2; padding: 0 1; overflow: hidden; }
    SamplesScreen .side { height: 1fr; width: 1fr; overflow: hidden; }
    """
    place = "samples"

    def __init__(self) -> None:
        super().__init__()
        self.chosen: int | None = None
        """None: the newest step, whichever that is."""
        self.other: int | None = None
        """None: the step before the chosen one."""
        self._view: RunView | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield Lines(id="strip", classes="bar")
        yield Container(
            Container(Lines(id="left-head", classes="bar"), Pane(id="left"), classes="side", id="left-side"),
            Container(Lines(id="right-head", classes="bar"), Pane(id="right"), classes="side", id="right-side"),
            id="sides",
        )

    @property
    def samples(self) -> list[Sample]:
        """All samples of the run in focus."""
        return self.state.run.history.samples if self.state.run is not None else []

    def lay_out(self) -> None:
        size = self.app.size
        sides = self.query_one("#sides").styles
        beside = size.width >= SIDE_BY_SIDE_CELLS
        sides.grid_size_columns = 2 if beside else 1
        sides.grid_size_rows = 1 if beside or size.height < STACKED_ROWS else 2
        self.query_one("#right-side").display = beside or size.height >= STACKED_ROWS
        super().lay_out()

    def draw_body(self, cells: int) -> None:
        view, steps = self.state.run, sample_steps(self.samples)
        if view is not self._view:
            self._view, self.chosen, self.other = view, None, None
        if view is None or not steps:
            self._say_nothing(cells)
            return
        chosen, other = self._pair(steps)
        self.query_one("#strip", Lines).show([fit(strip(steps, chosen, other, cells), cells)])
        self._side("left", self._heading(view, chosen, CHOSEN, "accent"), self._texts("left", chosen))
        if other is None:
            head = line(Span("no other step to compare with", "quiet"))
            self._side("right", head, [])
        else:
            self._side("right", self._heading(view, other, OTHER, "val"), self._texts("right", other))

    def _say_nothing(self, cells: int) -> None:
        self.query_one("#strip", Lines).show([fit((), cells)])
        text = "No samples yet: a run writes them every sampling.interval steps."
        self._side("left", (), [line(Span(row, "quiet")) for row in wrap(text, self._room("left"))])
        self._side("right", (), [])

    def _pair(self, steps: list[int]) -> tuple[int, int | None]:
        """The chosen step and the other one, as far as the run still has them."""
        if self.chosen not in steps:
            self.chosen = None
        if self.other not in steps:
            self.other = None
        chosen = self.chosen if self.chosen is not None else steps[-1]
        if self.other is not None and self.other != chosen:
            return chosen, self.other
        at = steps.index(chosen)
        return chosen, steps[at - 1] if at else (steps[1] if len(steps) > 1 else None)

    def _room(self, side: str) -> int:
        return max(self.query_one(f"#{side}", Pane).size.width - 2, 8)

    def _heading(self, view: RunView, step: int, mark: str, role: str) -> Line:
        return heading(view.history, step, mark, role, self._room("left"))

    def _texts(self, side: str, step: int) -> list[Line]:
        return sample_lines(self.samples, step, self._room(side))

    def _side(self, side: str, head: Line, texts: list[Line]) -> None:
        pane = self.query_one(f"#{side}", Pane)
        self.query_one(f"#{side}-head", Lines).show([fit(head, pane.size.width)])
        pane.show(texts)

    def _move(self, by: int) -> None:
        """Choose a neighbouring step; past the newest one it follows the run again."""
        steps = sample_steps(self.samples)
        if not steps:
            return
        chosen, _ = self._pair(steps)
        index = max(0, min(steps.index(chosen) + by, len(steps) - 1))
        # What it is compared with stays, once somebody chose it.
        self.chosen = steps[index] if index < len(steps) - 1 else None
        self._begin()

    def _move_other(self, by: int) -> None:
        steps = sample_steps(self.samples)
        if len(steps) < 2:
            return
        chosen, other = self._pair(steps)
        rest = [step for step in steps if step != chosen]
        index = rest.index(other) if other in rest else 0
        self.other = rest[max(0, min(index + by, len(rest) - 1))]
        self._begin()

    def _begin(self) -> None:
        self.draw()
        for pane in self.query(Pane):
            pane.scroll_home(animate=False)

    def action_older(self) -> None:
        self._move(-1)

    def action_newer(self) -> None:
        self._move(1)

    def action_older_other(self) -> None:
        self._move_other(-1)

    def action_newer_other(self) -> None:
        self._move_other(1)

    def action_choose_step(self, step: int) -> None:
        self.chosen = step
        self._begin()

    def action_page_down(self) -> None:
        for pane in self.query(Pane):
            pane.scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        for pane in self.query(Pane):
            pane.scroll_page_up(animate=False)

    def action_first(self) -> None:
        for pane in self.query(Pane):
            pane.scroll_home(animate=False)

    def action_last(self) -> None:
        for pane in self.query(Pane):
            pane.scroll_end(animate=False)

    def action_cursor_down(self) -> None:
        for pane in self.query(Pane):
            pane.scroll_down(animate=False)

    def action_cursor_up(self) -> None:
        for pane in self.query(Pane):
            pane.scroll_up(animate=False)
