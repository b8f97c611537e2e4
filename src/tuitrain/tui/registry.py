"""The action registry: each thing a key can do is declared once; bindings, footer, help, palette and key map read it.

The handler of an action is the method `action_<id>` of its owner: the screen, the charts (on a screen with
charts they have the focus), or the app for what every screen shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from textual.binding import BindingType

ScreenName = Literal["watch", "runs", "compare", "system", "samples", "logs", "config", "launch", "help"]

Owner = Literal["screen", "charts", "app"]

SCREENS: tuple[tuple[ScreenName, str, str], ...] = (
    ("watch", "Watch", "The dashboard of the run, or of several."),
    ("runs", "Runs", "The list of runs."),
    ("compare", "Compare", "The runs on the screen, or the marked ones, against each other."),
    ("system", "System", "The machine: GPUs, memory, disk, network, processes."),
    ("samples", "Samples", "What the model wrote, step by step."),
    ("logs", "Logs", "The console of the run."),
    ("config", "Config", "The configuration and the architecture of the run."),
    ("launch", "Launch", "Start a run from a preset."),
)
"""Every screen: its name, its title and what it is for. Its key is its number, from 1."""

CHARTS: tuple[ScreenName, ...] = ("watch", "compare")
PAGES: tuple[ScreenName, ...] = ("system", "samples", "logs", "config")
ACTING: tuple[ScreenName, ...] = ("watch", "runs", *PAGES)
"""Screens on which something can be done to a run."""
EVERYWHERE: tuple[ScreenName, ...] = ("watch", "runs", "compare", *PAGES, "launch")
LISTS: tuple[ScreenName, ...] = ("runs", *PAGES, "launch")


@dataclass(frozen=True)
class Action:
    """Something a person can do.

    keys: Textual's names, the first is shown; footer: rank in the footer, 0 is never; acts: it changes a run or a
    file, so `--readonly` takes it away; call: its method with arguments, where that is not `action_<id>`.
    """

    id: str
    keys: tuple[str, ...]
    title: str
    help: str
    screens: tuple[ScreenName, ...] = EVERYWHERE
    footer: int = 0
    owner: Owner = "screen"
    acts: bool = False
    call: str = ""

    @property
    def method(self) -> str:
        """The method of the owner, without `action_`."""
        return self.call or self.id

    @property
    def handler(self) -> str:
        """The action as Textual resolves it: `screen.sort` is the method `action_sort` of the screen."""
        return f"{'focused' if self.owner == 'charts' else self.owner}.{self.method}"

    @property
    def key_text(self) -> str:
        """The first key as it stands on the keyboard."""
        return key_text(self.keys[0]) if self.keys else ""


_KEY_TEXT = {
    "question_mark": "?", "colon": ":", "slash": "/", "escape": "esc", "pagedown": "page down", "pageup": "page up",
    "left": "←", "right": "→", "up": "↑", "down": "↓", "shift+tab": "shift tab", "shift+left": "shift ←",
    "shift+right": "shift →", "plus": "+", "minus": "-", "equals_sign": "=", "comma": ",", "full_stop": ".",
    "left_square_bracket": "[", "right_square_bracket": "]", "number_sign": "#", "semicolon": ";",
    "greater_than_sign": ">", "less_than_sign": "<", "exclamation_mark": "!", "underscore": "_",
}  # fmt: skip


def key_text(key: str) -> str:
    """A key as people call it: `?`, `esc`, `→`, `ctrl+p`."""
    return _KEY_TEXT.get(key, key)


ACTIONS: tuple[Action, ...] = (
    Action("leave", ("q", "ctrl+c"), "quit", "Leave. Training goes on.", footer=1, owner="app"),
    Action("help", ("question_mark", "f1"), "help", "Show the keys.", footer=2, owner="app"),
    # Charts.
    *(replace(each, owner="charts") for each in (
        Action("cycle_axis", ("x",), "axis", "Horizontal axis: step, tokens, time, clock, FLOPs.", CHARTS, 3),
        Action("cycle_smoothing", ("s",), "smooth", "Smoothing of the curves: 0, 0.6, 0.9, 0.97, 0.99.", CHARTS, 4),
        Action("toggle_log", ("y",), "log y", "Logarithmic vertical axis.", CHARTS, 5, call="toggle_option('log')"),
        Action("toggle_log_x", ("X",), "log x", "Logarithmic horizontal axis.", CHARTS,
               call="toggle_option('log_x')"),
        Action("toggle_clip", ("o",), "outliers", "Leave outliers out of the vertical range, or show them.", CHARTS,
               call="toggle_option('clip')"),
        Action("toggle_recent", ("w",), "window", "Beside the whole history the newest part of it.", CHARTS,
               call="toggle_option('recent')"),
        Action("zoom", ("z", "enter"), "zoom", "The panel in focus alone, and back.", CHARTS, 6),
        Action("crosshair", ("i",), "crosshair", "Exact values at one position, in all panels; arrows move it.",
               CHARTS, 7),
        Action("zoom_in", ("plus", "equals_sign"), "zoom in", "A smaller part of the horizontal axis.", CHARTS,
               call="zoom_by(0.5)"),
        Action("zoom_out", ("minus",), "zoom out", "A larger part of the horizontal axis.", CHARTS,
               call="zoom_by(2)"),
        Action("pan_left", ("shift+left", "comma"), "pan left", "Move the part that is shown to the left.", CHARTS,
               call="pan(-1)"),
        Action("pan_right", ("shift+right", "full_stop"), "pan right", "Move the part that is shown to the right.",
               CHARTS, call="pan(1)"),
        Action("whole_range", ("0",), "whole range", "All of the horizontal axis again.", CHARTS),
        Action("next_tab", ("b",), "tabs", "Next tab below the charts.", CHARTS, 9),
        Action("focus_next", ("tab",), "next panel", "Next panel.", CHARTS, call="move_focus(1, 0)"),
        Action("focus_previous", ("shift+tab",), "previous panel", "Previous panel.", CHARTS,
               call="move_focus(-1, 0)"),
        Action("go_right", ("right", "l"), "right", "Panel to the right, or the crosshair.", CHARTS, call="go(1)"),
        Action("go_left", ("left", "h"), "left", "Panel to the left, or the crosshair.", CHARTS, call="go(-1)"),
        Action("focus_below", ("down", "j"), "panel below", "Panel below.", CHARTS, call="move_focus(0, 1)"),
        Action("focus_above", ("up", "k"), "panel above", "Panel above.", CHARTS, call="move_focus(0, -1)"),
    )),
    Action("step_back", ("escape",), "step back", "Leave the crosshair, then the part that is zoomed in.", ("watch",)),
    Action("next_layout", ("L",), "layout", "Next layout: overview, training, performance, system, your own.",
           ("watch",), 8),
    Action("edit_layout", ("P",), "panels", "Choose the panels, their order and their size.", ("watch",)),
    Action("export_panel", ("e",), "export", "Write the panel in focus as SVG, PNG or CSV.", CHARTS, 12, acts=True),
    Action("open_figure", ("O",), "figure", "Make the figure of the run and open it.", CHARTS, acts=True),
    Action("copy_value", ("Y",), "copy", "Copy the value of the panel, or the id of the run.", ("watch", "runs")),
    # Runs.
    Action("next_run", ("n",), "next run", "Next run.", ("watch", "compare", "system", "samples", "config"), 11,
           owner="app", call="focus_run(1)"),
    Action("previous_run", ("p",), "previous run", "Previous run.",
           ("watch", "compare", "system", "samples", "config"), owner="app", call="focus_run(-1)"),
    Action("open", ("enter",), "open", "Watch the run under the cursor, or the marked ones together.", ("runs",), 3),
    Action("mark", ("space",), "mark", "Mark the run under the cursor.", ("runs",), 4),
    Action("filter", ("slash",), "filter", "Show some runs: status:running qwen loss<2.5.", ("runs",), 5),
    Action("sort", ("o",), "sort", "Order by the next column.", ("runs",), 6),
    Action("reverse", ("O",), "reverse", "Turn the order around.", ("runs",)),
    Action("runs", ("r",), "runs", "The list of runs.", ("watch", "compare", *PAGES, "launch"), 10, owner="app",
           call="show('runs')"),
    Action("compare", ("c",), "compare", "Compare the runs on the screen, or the marked ones.", ("watch", "runs"), 10),
    Action("group_runs", ("m",), "groups", "Take runs with the same value of a key as one: mean and spread.",
           ("compare",), 9),
    Action("next_baseline", ("a",), "baseline", "Take the next run as the baseline of the deltas.", ("compare",), 8),
    # To a run.
    Action("stop_run", ("S",), "stop", "Ask the run to save a checkpoint and end.", ACTING, 13, acts=True),
    Action("checkpoint_run", ("K",), "checkpoint", "Ask the run for a checkpoint.", ACTING, acts=True),
    Action("evaluate_run", ("E",), "evaluate", "Ask the run for an evaluation.", ACTING, acts=True),
    Action("edit_tags", ("T",), "tags", "Edit the tags of the run.", ACTING, acts=True),
    Action("edit_note", ("N",), "note", "Add a note to the run.", ACTING, acts=True),
    # Pages.
    Action("search", ("slash",), "search", "Find lines.", ("logs", "config"), 3),
    Action("next_match", ("n",), "next match", "Next line that matches.", ("logs",), 4),
    Action("previous_match", ("p",), "previous match", "Line before that matches.", ("logs",)),
    Action("follow", ("f",), "follow", "Stay at the end of the console.", ("logs",), 5),
    Action("next_rank", ("right_square_bracket",), "next rank", "Console of the next process.", ("logs",), 6),
    Action("previous_rank", ("left_square_bracket",), "previous rank", "Console of the process before.", ("logs",)),
    Action("toggle_alerts", ("a",), "alerts", "The alerts of the run, or its console.", ("logs",), 7),
    Action("older", ("left", "h"), "older", "The sample before.", ("samples",), 3),
    Action("newer", ("right", "l"), "newer", "The sample after.", ("samples",), 4),
    Action("older_other", ("left_square_bracket",), "compare older", "Compare with an earlier step.", ("samples",), 5),
    Action("newer_other", ("right_square_bracket",), "compare newer", "Compare with a later step.", ("samples",)),
    Action("toggle_all", ("a",), "all keys", "All keys, or those that differ from the preset.", ("config",), 4),
    Action("start_run", ("ctrl+s",), "start", "Start the run.", ("launch",), 3, acts=True),
    Action("next_part", ("tab",), "next part", "Presets, form, plan; a completion is taken first.", ("launch",), 4),
    Action("previous_part", ("shift+tab",), "part before", "Plan, form, presets.", ("launch",)),
    Action("copy_command", ("ctrl+y",), "copy command", "Copy the command line that does the same.", ("launch",), 6),
    # Moving.
    Action("back", ("escape",), "back", "Back to the dashboard.", ("runs", "compare", *PAGES, "launch", "help"), 5),
    Action("cursor_down", ("down", "j"), "down", "Down.", LISTS),
    Action("cursor_up", ("up", "k"), "up", "Up.", LISTS),
    Action("page_down", ("pagedown", "ctrl+f"), "page down", "Scroll down.", ("watch", "compare", *LISTS)),
    Action("page_up", ("pageup", "ctrl+b"), "page up", "Scroll up.", ("watch", "compare", *LISTS)),
    Action("first", ("home", "g"), "first", "To the beginning.", ("watch", "runs", "compare", *PAGES)),
    Action("last", ("end", "G"), "last", "To the end.", ("watch", "runs", "compare", *PAGES)),
    # The app.
    *(
        Action(f"show_{name}", (str(number),), title, text, owner="app", call=f"show('{name}')")
        for number, (name, title, text) in enumerate(SCREENS, start=1)
    ),
    Action("choose_screen", ("f2",), "screens", "Choose a screen.", footer=16, owner="app"),
    Action("next_theme", ("t",), "theme", "Next theme: dark, light, contrast, colour-blind, the terminal's own.",
           footer=14, owner="app"),
    Action("command_palette", ("colon", "ctrl+p"), "command", "Find a command by its name.", footer=15, owner="app"),
)  # fmt: skip


def actions_for(keys: Mapping[str, Sequence[str]], readonly: bool) -> tuple[Action, ...]:
    """The registry with other keys for some actions (by id), and without those that act when only reading."""
    return tuple(
        replace(action, keys=tuple(keys[action.id])) if action.id in keys else action
        for action in ACTIONS
        if not (readonly and action.acts)
    )


def withheld_keys(screen: ScreenName, keys: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The keys of a screen that do nothing when only reading. keys: other keys for some actions, by id."""
    acting = (action for action in actions_of(screen, actions_for(keys, readonly=False)) if action.acts)
    return frozenset(key for action in acting for key in action.keys)


def actions_of(screen: ScreenName, actions: Sequence[Action] = ACTIONS) -> list[Action]:
    """The actions of a screen, in the order of their declaration."""
    return [action for action in actions if screen in action.screens]


def bindings(screen: ScreenName, *owners: Owner) -> list[BindingType]:
    """Textual's bindings of a screen, or of its charts, with the id of the action, by which a key map changes them.

    owners: of whose actions, for the widget that has them; by default those of the screen and of the app.
    """
    # Imported here: commands without screens read the registry.
    from textual.binding import Binding

    priority = () if owners else ("tab", "shift+tab", "ctrl+c")
    return [
        Binding(key, handler, action.title, show=False, priority=key in priority, id=action.id)
        for action in actions_of(screen)
        if action.owner in (owners or ("screen", "app"))
        for handler in [action.method if owners else action.handler]
        for key in action.keys
    ]
