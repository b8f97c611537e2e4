"""The machine of the run: GPUs, processor, memory, disk, network, processes."""

from __future__ import annotations

import time
from collections.abc import Iterable

from textual.widget import Widget

from tuitrain.tui.actions import bindings
from tuitrain.tui.content.machine import machine_lines
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.widgets.pane import Pane


class SystemScreen(BaseScreen):
    """One pane that shares out its rows."""

    BINDINGS = bindings("system")
    screen_name = "system"

    def __init__(self) -> None:
        super().__init__()
        self._drawn: object = None

    def compose_body(self) -> Iterable[Widget]:
        yield Pane(id="pane")

    def draw_body(self, cells: int) -> None:
        pane, view = self.query_one(Pane), self.state.run
        newest = view.history.system if view is not None else None
        # Readings come every few seconds, steps more often; the age is told in minutes.
        now = (id(view), view.status if view else None, newest, cells, pane.size.height, int(time.time() // 60))
        if now != self._drawn:
            self._drawn = now
            pane.show(machine_lines(view, cells - 1, pane.size.height))
