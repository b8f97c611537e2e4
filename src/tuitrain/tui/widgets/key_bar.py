"""The lowest lines of a screen: the screens with their numbers where there is room, then Textual's Footer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.cells import cell_len
from textual.binding import ActiveBinding
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.registry import SCREENS, Action, ScreenName, key_text
from tuitrain.tui.text import Line, Span, fit, join, line, width
from tuitrain.tui.widgets.lines import Lines

ROWS_WITH_SCREENS = 30
"""A terminal at least this high has a line of its own for the screens."""
GAP = 2
"""Cells between two keys."""
MENU, READ_ONLY = " ≡", " read-only "


def key_bar_rows(rows: int) -> int:
    """How many lines the bar has in a terminal of this height."""
    return 2 if rows >= ROWS_WITH_SCREENS else 1


class KeyFooter(Footer):
    """A footer that is composed anew only when it would show other keys: each time costs 20 ms of start-up."""

    _keys: tuple[tuple[str, str], ...] = ()

    def bindings_changed(self, screen: Screen[Any]) -> None:
        active = screen.active_bindings.items()
        keys = tuple((key, each.binding.description) for key, each in active if each.binding.show)
        if keys != self._keys:
            self._keys = keys
            super().bindings_changed(screen)
            if not screen.app.app_focus:  # then Textual's own footer shows no keys, as at the start in a browser
                self.refresh(recompose=True)


class KeyBar(Vertical):
    """The bar of one screen. Each number, key and word can be clicked."""

    app: BaseApp

    def __init__(self, screen_name: ScreenName) -> None:
        super().__init__()
        self.screen_name = screen_name

    def on_mount(self) -> None:
        # The rest of the screen is drawn before the keys are composed.
        self.app.call_after_reading(self._mount_keys)

    async def _mount_keys(self) -> None:
        if not self.is_attached:
            return
        footer = KeyFooter(show_command_palette=False, compact=True)
        await self.mount(Lines(id="screens"), Horizontal(Lines(id="menu"), footer, Lines(id="read-only")))
        self.screen.refresh_bindings()
        self.draw()

    def draw(self) -> None:
        """Share the bar among its parts as the height of the terminal says."""
        cells, rows = self.app.size
        self.styles.height = key_bar_rows(rows)
        if not self.query("#read-only"):
            return  # not mounted yet
        screens, menu, note = (self.query_one(f"#{name}", Lines) for name in ("screens", "menu", "read-only"))
        screens.display = rows >= ROWS_WITH_SCREENS
        menu.display, note.display = not screens.display, self.app.settings.readonly
        screens.show([fit(_screens(self.screen_name, cells), cells)])
        menu.show([line(Span(MENU, "key", "app.choose_screen"))])
        note.show([line(Span(READ_ONLY, "warn"))])


def _screens(screen_name: ScreenName, cells: int) -> Line:
    """All screens with their numbers, the present one highlighted."""
    entries: list[Line] = []
    for number, (name, title, _) in enumerate(SCREENS, start=1):
        call, role = f"app.show('{name}')", "on" if name == screen_name else "quiet"
        entries.append(line(Span(str(number), "key", call), Span(f" {title}", role, call)))
    forms = [line(" ", *join(entries, line(gap))) for gap in ("   ", "  ", " ")]
    return next((form for form in forms if width(form) < cells), forms[-1])


def fitting(
    bindings: Mapping[str, ActiveBinding], actions: Sequence[Action], cells: int, typing: bool
) -> dict[str, ActiveBinding]:
    """The bindings in the order of their rank in the footer; only those that fit in so many cells are shown.

    typing: whether letters and digits go into a line, so that they are no keys now and the menu is shown.
    """
    shown: dict[str, ActiveBinding] = {}
    cells += GAP
    for action in sorted(actions, key=lambda action: action.footer):
        calls = action.method, action.handler
        keys = [key for key in action.keys if key in bindings and bindings[key].binding.action in calls]
        key = next((key for key in keys if not (typing and _is_typed(key))), "")
        if key and action.footer and (typing or action.id != "choose_screen"):
            cells -= cell_len(key_text(key)) + 1 + cell_len(action.title) + GAP
            if cells < 0:
                break
            active = bindings[key]
            binding = replace(active.binding, description=action.title, show=True)
            shown[key] = ActiveBinding(active.node, binding, active.enabled, active.tooltip)
    return shown | {key: active for key, active in bindings.items() if key not in shown}


def _is_typed(key: str) -> bool:
    """Whether a key writes a character."""
    return (len(key_text(key)) == 1 and key not in ("left", "right", "up", "down")) or key == "space"
