"""The machine of the run: GPUs, processor, memory, disk, network, processes."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget

from tuitrain.tui.content.machine import machine_lines
from tuitrain.tui.registry import bindings
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.widgets.pane import Pane


class SystemScreen(BaseScreen):
    """The newest readings of the machine in one pane, whose rows they share."""

    BINDINGS = bindings("system")
    screen_name = "system"

    def compose_body(self) -> Iterable[Widget]:
        yield Pane(id="pane")

    def draw_body(self, cells: int) -> None:
        pane = self.query_one(Pane)
        pane.show(machine_lines(self.state.run, cells - 1, pane.size.height))
