"""The machine of the run: GPUs, processor, memory, disk, network, processes."""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from tuitrain.tui.content.machine import machine_page
from tuitrain.tui.registry import bindings
from tuitrain.tui.screens.page import BaseScreen


class SystemScreen(BaseScreen):
    """The newest readings of the machine on one page, whose rows they share."""

    BINDINGS = bindings("system")
    screen_name = "system"

    def compose_body(self) -> Iterable[Widget]:
        yield VerticalScroll(Static(), id="pane", can_focus=False)

    def scrolled(self) -> Iterable[Widget]:
        return self.query("#pane")

    def draw_body(self, cells: int) -> None:
        rows = self.query_one("#pane").size.height
        self.query_one("#pane > Static", Static).update(machine_page(self.state.run, cells - 3, rows))
