"""The samples of a run by step: those of one step beside those of another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.containers import Container, Vertical
from textual.reactive import reactive
from textual.widget import Widget

from tuitrain.events import Sample
from tuitrain.tui.content.samples import CHOSEN, OTHER, heading, sample_lines, sample_steps, strip
from tuitrain.tui.registry import bindings
from tuitrain.tui.screens.page import BaseScreen, moved
from tuitrain.tui.text import Line, Span, line, paragraphs
from tuitrain.tui.view_state import RunView
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

WIDE_CELLS = 100
"""A terminal this wide has both steps beside each other."""
LOW_ROWS = 12
"""A narrower one with fewer rows shows the chosen step alone."""
NONE_YET = "No samples yet: a run writes them every sampling.interval steps."


class SamplesScreen(BaseScreen):
    """The chosen step, by default the newest, and another step to compare it with."""

    BINDINGS = bindings("samples")
    CSS_PATH = "../styles/samples.tcss"
    HORIZONTAL_BREAKPOINTS = [(WIDE_CELLS, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (LOW_ROWS, "-high")]  # noqa: RUF012
    screen_name = "samples"

    chosen: reactive[tuple[RunView, int] | None] = reactive(None, init=False)
    """The run and its chosen step; None is the newest step."""
    other: reactive[tuple[RunView, int] | None] = reactive(None, init=False)
    """The run and the step to compare with; None is the step before the chosen one."""

    def compose_body(self) -> Iterable[Widget]:
        yield Lines(id="strip", classes="bar")
        with Container(id="sides"):
            for side in ("left", "right"):
                yield Vertical(Lines(id=f"{side}-head", classes="bar"), Pane(id=side), id=f"{side}-side")

    @property
    def samples(self) -> Sequence[Sample]:
        """All samples of the run in focus."""
        return self.state.run.history.samples if self.state.run is not None else ()

    def draw_body(self, cells: int) -> None:
        view, steps = self.state.run, sample_steps(self.samples)
        room = max(self.query_one("#left", Pane).size.width - 2, 8)
        if view is None or not steps:
            self.query_one("#strip", Lines).show([()])
            self._draw_side("left", (), paragraphs(NONE_YET, room, "quiet"))
            self._draw_side("right", (), [])
            return
        chosen, other = self._pair(steps)
        self.query_one("#strip", Lines).show([strip(steps, chosen, other, cells)])
        for side, step, mark, role in (("left", chosen, CHOSEN, "accent"), ("right", other, OTHER, "val")):
            if step is None:
                self._draw_side(side, line(Span("no other step to compare with", "quiet")), [])
            else:
                head = heading(view.history, step, mark, role, room)
                self._draw_side(side, head, sample_lines(self.samples, step, room))

    def _draw_side(self, side: str, head: Line, texts: list[Line]) -> None:
        pane = self.query_one(f"#{side}", Pane)
        self.query_one(f"#{side}-head", Lines).show([head])
        pane.show(texts)

    def _pair(self, steps: list[int]) -> tuple[int, int | None]:
        """The chosen step and the other one, as far as the run has them; None without another step."""
        chosen, other = self._step_of(self.chosen), self._step_of(self.other)
        if chosen not in steps:
            chosen = steps[-1]
        if other in steps and other != chosen:
            return chosen, other
        index = steps.index(chosen)
        return chosen, steps[index - 1] if index else (steps[1] if len(steps) > 1 else None)

    def _step_of(self, choice: tuple[RunView, int] | None) -> int | None:
        return choice[1] if choice is not None and choice[0] is self.state.run else None

    def _draw_from_start(self) -> None:
        self.draw()
        self.action_scroll("home")

    watch_chosen = watch_other = _draw_from_start

    def action_move(self, by: int) -> None:
        """Choose a neighbouring step. The newest step follows the run again."""
        steps, view = sample_steps(self.samples), self.state.run
        if view is not None and steps:
            step = moved(steps, self._pair(steps)[0], by)
            self.chosen = (view, step) if step != steps[-1] else None

    def action_move_other(self, by: int) -> None:
        """Choose a neighbouring step to compare with."""
        steps, view = sample_steps(self.samples), self.state.run
        chosen, other = self._pair(steps) if steps else (None, None)
        if view is not None and other is not None:
            self.other = view, moved([step for step in steps if step != chosen], other, by)

    def action_choose_step(self, step: int) -> None:
        if self.state.run is not None:
            self.chosen = self.state.run, step
