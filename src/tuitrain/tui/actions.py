"""The action registry: each thing a key can do is declared once; bindings, footer, help and palette read it here.

The handler of an action is the method `action_<id>` of the screen, or of the app for what every screen shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

from tuitrain.tui.text import Line, Span, join, line, width

Place = Literal["watch", "runs", "compare", "help"]
CHARTS: tuple[Place, ...] = ("watch", "compare")
EVERYWHERE: tuple[Place, ...] = ("watch", "runs", "compare")


@dataclass(frozen=True)
class Action:
    """Something a person can do. keys: Textual's names, the first is shown; footer: rank in the footer, 0 is never."""

    id: str
    keys: tuple[str, ...]
    title: str
    help: str
    places: tuple[Place, ...] = EVERYWHERE
    footer: int = 0
    owner: Literal["screen", "app"] = "screen"

    @property
    def handler(self) -> str:
        """The action as Textual resolves it: `screen.zoom` is the method `action_zoom` of the screen."""
        return f"{self.owner}.{self.id}"

    @property
    def key_text(self) -> str:
        """The first key as it stands on the keyboard."""
        return key_text(self.keys[0])


ACTIONS: tuple[Action, ...] = (
    Action("leave", ("q", "ctrl+c"), "quit", "Leave. Training goes on.", footer=1, owner="app"),
    Action("help", ("question_mark", "f1"), "help", "Show the keys.", footer=2, owner="app"),
    Action("cycle_axis", ("x",), "axis", "Horizontal axis: step, tokens, time.", CHARTS, 3),
    Action("cycle_smoothing", ("s",), "smooth", "Smoothing of the curves: 0, 0.6, 0.9, 0.97, 0.99.", CHARTS, 4),
    Action("toggle_log", ("y",), "log", "Logarithmic vertical axis.", CHARTS, 5),
    Action("zoom", ("z", "enter"), "zoom", "The panel in focus alone, and back.", CHARTS, 6),
    Action("next_tab", ("l",), "tabs", "Next tab.", CHARTS, 7),
    Action("next_run", ("n",), "next run", "Next run.", CHARTS, 10),
    Action("previous_run", ("N",), "previous run", "Previous run.", CHARTS),
    Action("runs", ("r",), "runs", "The list of runs.", CHARTS, 8),
    Action("open", ("enter",), "open", "Watch the run under the cursor, or the marked ones together.", ("runs",), 3),
    Action("mark", ("space",), "mark", "Mark the run under the cursor.", ("runs",), 4),
    Action("compare", ("c",), "compare", "Compare the runs on the screen, or the marked ones.", ("watch", "runs"), 9),
    Action("baseline", ("b",), "baseline", "Take the next run as the baseline of the deltas.", ("compare",), 9),
    Action("back", ("escape",), "back", "Back to the dashboard.", ("runs", "compare", "help"), 5),
    Action("focus_next", ("tab", "right"), "next panel", "Next panel.", CHARTS),
    Action("focus_previous", ("shift+tab", "left"), "previous panel", "Previous panel.", CHARTS),
    Action("focus_below", ("down", "j"), "panel below", "Panel below.", CHARTS),
    Action("focus_above", ("up", "k"), "panel above", "Panel above.", CHARTS),
    Action("cursor_down", ("down", "j"), "down", "Next run in the list.", ("runs",)),
    Action("cursor_up", ("up", "k"), "up", "Previous run in the list.", ("runs",)),
    Action("page_down", ("pagedown",), "page down", "Scroll down.", EVERYWHERE),
    Action("page_up", ("pageup",), "page up", "Scroll up.", EVERYWHERE),
    Action("first", ("home", "g"), "first", "To the beginning.", EVERYWHERE),
    Action("last", ("end", "G"), "last", "To the end.", EVERYWHERE),
    Action("next_theme", ("t",), "theme", "Dark or light.", footer=11, owner="app"),
    Action("command_palette", ("colon", "ctrl+p"), "command", "Find a command by its name.", footer=12, owner="app"),
)

_KEY_TEXT = {
    "question_mark": "?", "colon": ":", "escape": "esc", "pagedown": "page down", "pageup": "page up",
    "left": "←", "right": "→", "up": "↑", "down": "↓", "shift+tab": "shift tab",
}  # fmt: skip


def key_text(key: str) -> str:
    """A key as people call it: `?`, `esc`, `→`, `ctrl+p`."""
    return _KEY_TEXT.get(key, key)


def actions_of(place: Place) -> list[Action]:
    """The actions of a screen, in the order of their declaration."""
    return [action for action in ACTIONS if place in action.places]


def bindings(place: Place) -> list[Binding | tuple[str, str] | tuple[str, str, str]]:
    """Textual's bindings of a screen."""
    return [
        Binding(key, action.handler, action.title, show=False, priority=key in ("tab", "shift+tab", "ctrl+c"))
        for action in actions_of(place)
        for key in action.keys
    ]


def footer(place: Place, cells: int) -> Line:
    """The keys worth knowing, as many as fit, the less important ones left out first."""
    shown = sorted((action for action in actions_of(place) if action.footer), key=lambda action: action.footer)
    found: Line = ()
    for count in range(len(shown), 0, -1):
        found = join((_hint(action) for action in shown[:count]), line("  "))
        if width(found) <= cells - 2:
            break
    return line(" ", *found)


def _hint(action: Action) -> Line:
    return line(Span(action.key_text, "key", action.handler), Span(f" {action.title}", "quiet", action.handler))
