"""Going from screen to screen: the actions of the app that do it."""

from __future__ import annotations

from tuitrain.tui.inert import InertApp
from tuitrain.tui.registry import SCREENS, ScreenName
from tuitrain.tui.view_state import ViewState


class Navigation(InertApp):
    """The part of the app that knows its screens by name."""

    state: ViewState

    def show_screen(self, name: ScreenName) -> None:
        """Go to a screen."""
        raise NotImplementedError

    def action_runs(self) -> None:
        self.show_screen("runs")

    def action_show_watch(self) -> None:
        self.show_screen("watch" if self.state.runs else "runs")

    def action_show_runs(self) -> None:
        self.show_screen("runs")

    def action_show_compare(self) -> None:
        if len(self.state.runs) > 1:
            self.show_screen("compare")
            return
        view = self.state.run
        self.state.marked = [view.directory.run_id] if view and view.directory else []
        self.show_screen("runs")
        self.notify("Mark other runs with space, then press c.", title="Compare")

    def action_show_system(self) -> None:
        self.show_screen("system")

    def action_show_samples(self) -> None:
        self.show_screen("samples")

    def action_show_logs(self) -> None:
        self.show_screen("logs")

    def action_show_config(self) -> None:
        self.show_screen("config")

    def action_show_launch(self) -> None:
        self.show_screen("launch")

    def action_choose_screen(self) -> None:
        """All screens in a box, for the mouse and for whoever forgot their numbers."""
        from tuitrain.tui.screens.dialogs import Choice

        options = [(name, f"{number}  {title:<9} {text}") for number, (name, title, text) in enumerate(SCREENS, 1)]
        self.push_screen(Choice("screens", options), self._go)

    async def _go(self, name: str | None) -> None:
        if name is not None:
            await self.run_action(f"show_{name}")
