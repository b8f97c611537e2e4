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

RunScreen = Literal["watch", "system", "samples", "logs", "config"]
"""A screen of one run."""
Owner = Literal["screen", "charts", "app"]
Scroll = Literal["down", "up", "page_down", "page_up", "home", "end"]
"""Where the keys scroll to."""
Group = Literal["this screen", "charts", "run", "moving", "screens", "tuitrain"]
"""What an action is for, in the order of help and documentation."""

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
EVERYWHERE: tuple[ScreenName, ...] = ("watch", "runs", "compare", *PAGES, "launch")


@dataclass(frozen=True)
class Action:
    """Something a person can do.

    keys: Textual's names, the first is shown; footer: rank in the footer, 0 is never; call: its method with arguments,
    where that is not `action_<id>`; acts: it changes a run or a file, so `--readonly` removes it.
    """

    id: str
    keys: tuple[str, ...]
    title: str
    help: str
    footer: int = 0
    call: str = ""
    acts: bool = False
    screens: tuple[ScreenName, ...] = EVERYWHERE
    owner: Owner = "screen"
    group: Group = "this screen"

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


def key_text(key: str) -> str:
    """A key as it stands on the keyboard: `?`, `esc`, `→`, `ctrl+p`."""
    # The registry is read without Textual too: by `schema settings`.
    from textual.keys import format_key

    names = {"enter": "enter", "pageup": "page up", "pagedown": "page down"}
    return "+".join(names.get(part) or format_key(part) for part in key.split("+"))


_TABLE: tuple[tuple[Group, Owner, tuple[ScreenName, ...], tuple[Action, ...]], ...] = (
    ("tuitrain", "app", EVERYWHERE, (
        Action("leave", ("q", "ctrl+c"), "quit", "Leave. Training goes on.", 1),
        Action("help", ("question_mark", "f1"), "help", "Show the keys.", 2),
        Action("next_theme", ("t",), "theme", "Next theme: dark, light, contrast, colour-blind, the terminal's own.",
               14),
        Action("command_palette", ("colon", "ctrl+p"), "command", "Find a command by its name.", 15),
    )),
    ("charts", "charts", CHARTS, (
        Action("cycle_axis", ("x",), "axis", "Horizontal axis: step, tokens, time, clock, FLOPs.", 3),
        Action("cycle_smoothing", ("s",), "smooth", "Smoothing of the curves: 0, 0.6, 0.9, 0.97, 0.99.", 4),
        Action("toggle_log", ("y",), "log y", "Logarithmic vertical axis.", 5, "toggle_option('log')"),
        Action("toggle_log_x", ("X",), "log x", "Logarithmic horizontal axis.", 0, "toggle_option('log_x')"),
        Action("toggle_clip", ("o",), "outliers", "Leave outliers out of the vertical range, or show them.", 0,
               "toggle_option('clip')"),
        Action("toggle_recent", ("w",), "window", "Beside the whole history the newest part of it.", 0,
               "toggle_option('recent')"),
        Action("zoom", ("z", "enter"), "zoom", "The panel in focus alone, and back.", 6),
        Action("crosshair", ("i",), "crosshair", "Exact values at one position, in all panels; arrows move it.", 7),
        Action("zoom_in", ("plus", "equals_sign"), "zoom in", "A smaller part of the horizontal axis.", 0,
               "zoom_by(0.5)"),
        Action("zoom_out", ("minus",), "zoom out", "A larger part of the horizontal axis.", 0, "zoom_by(2)"),
        Action("pan_left", ("shift+left", "comma"), "pan left", "Move the part that is shown to the left.", 0,
               "pan(-1)"),
        Action("pan_right", ("shift+right", "full_stop"), "pan right", "Move the part that is shown to the right.", 0,
               "pan(1)"),
        Action("whole_range", ("0",), "whole range", "All of the horizontal axis again."),
    )),
    ("charts", "screen", ("watch",), (
        Action("step_back", ("escape",), "step back", "Leave the crosshair, then the part that is zoomed in."),
        Action("next_layout", ("L",), "layout", "Next layout: overview, training, performance, system, your own.", 8),
        Action("edit_layout", ("P",), "panels", "Choose the panels, their order and their size."),
    )),
    ("charts", "screen", CHARTS, (
        Action("search_panels", ("slash",), "search", "Find panels by words in the names of their metrics.", 13),
        Action("export_panel", ("e",), "export", "Write the panel in focus as SVG, PNG or CSV.", 12, acts=True),
        Action("open_figure", ("O",), "figure", "Make the figure of the run and open it.", acts=True),
    )),
    ("run", "app", ("watch", "compare", "system", "samples", "config"), (
        Action("next_run", ("n",), "next run", "Next run.", 11, "focus_run(1)"),
        Action("previous_run", ("p",), "previous run", "Previous run.", 0, "focus_run(-1)"),
    )),
    ("run", "screen", ("watch", "runs"), (
        Action("copy_value", ("Y",), "copy", "Copy the value of the panel, or the id of the run."),
    )),
    ("run", "screen", ("watch", "runs", *PAGES), (
        Action("audit_run", ("A",), "audit", "Check that the numbers of its log agree with each other."),
        Action("stop_run", ("S",), "stop", "Ask the run to save a checkpoint and end.", 13, "request('stop')", True),
        Action("pause_run", ("H",), "pause", "Let the run wait between two steps, or go on.", 0, "request('pause')",
               True),
        Action("checkpoint_run", ("K",), "checkpoint", "Ask the run for a checkpoint.", 0, "request('checkpoint')",
               True),
        Action("evaluate_run", ("E",), "evaluate", "Ask the run for an evaluation.", 0, "request('eval')", True),
        Action("edit_tags", ("T",), "tags", "Edit the tags of the run.", acts=True),
        Action("edit_note", ("N",), "note", "Add a note to the run.", acts=True),
    )),
    ("this screen", "screen", ("runs",), (
        Action("open", ("enter",), "open", "Watch the run under the cursor, or the marked ones together.", 3),
        Action("mark", ("space",), "mark", "Mark the run under the cursor.", 4),
        Action("filter", ("slash",), "filter", "Show some runs: status:running qwen loss<2.5.", 5),
        Action("sort", ("o",), "sort", "Order by the next column.", 6),
        Action("reverse", ("O",), "reverse", "Turn the order around."),
        Action("queue_sooner", ("shift+up", "less_than_sign"), "sooner", "Move a queued run forward, to start sooner.",
               17, "move_queued(-1)", acts=True),
        Action("queue_later", ("shift+down", "greater_than_sign"), "later", "Move a queued run back, to start later.",
               18, "move_queued(1)", acts=True),
    )),
    ("this screen", "screen", ("compare",), (
        Action("group_runs", ("m",), "groups", "Show runs with the same value of a key as one: mean and spread.", 10),
        Action("next_baseline", ("a",), "baseline", "Make the next run the baseline of the deltas.", 8),
        Action("choose_point", ("v",), "at", "Compare at a point, or where each run reached a loss.", 11),
    )),
    ("this screen", "screen", ("logs", "config"), (Action("search", ("slash",), "search", "Find lines.", 3),)),
    ("this screen", "screen", ("logs",), (
        Action("next_match", ("n",), "next match", "Next line that matches.", 4, "go_to_match(1)"),
        Action("previous_match", ("p",), "previous match", "Line before that matches.", 0,
               "go_to_match(-1)"),
        Action("follow", ("f",), "follow", "Stay at the end of the console.", 5),
        Action("next_rank", ("right_square_bracket",), "next rank", "Console of the next process.", 6,
               "turn_rank(1)"),
        Action("previous_rank", ("left_square_bracket",), "previous rank", "Console of the process before.", 0,
               "turn_rank(-1)"),
        Action("toggle_alerts", ("a",), "alerts", "The alerts of the run, or its console.", 7),
    )),
    ("this screen", "screen", ("samples",), (
        Action("older", ("left", "h"), "older", "The sample before.", 3, "move(-1)"),
        Action("newer", ("right", "l"), "newer", "The sample after.", 4, "move(1)"),
        Action("older_other", ("left_square_bracket",), "compare older", "Compare with an earlier step.", 5,
               "move_other(-1)"),
        Action("newer_other", ("right_square_bracket",), "compare newer", "Compare with a later step.", 0,
               "move_other(1)"),
    )),
    ("this screen", "screen", ("config",), (
        Action("toggle_all", ("a",), "all keys", "All keys, or those that differ from the preset.", 4),
    )),
    ("this screen", "screen", ("launch",), (
        Action("start_run", ("ctrl+s",), "start", "Start the run.", 3, acts=True),
        Action("copy_command", ("ctrl+y",), "copy command", "Copy the command line that does the same.", 6),
    )),
    ("moving", "charts", CHARTS, (
        Action("next_tab", ("b",), "tabs", "Next tab below the charts.", 9),
        Action("focus_next", ("tab",), "next panel", "Next panel.", 0, "move_focus(1, 0)"),
        Action("focus_previous", ("shift+tab",), "previous panel", "Previous panel.", 0, "move_focus(-1, 0)"),
        Action("go_right", ("right", "l"), "right", "Panel to the right, or the crosshair.", 0, "go(1)"),
        Action("go_left", ("left", "h"), "left", "Panel to the left, or the crosshair.", 0, "go(-1)"),
        Action("next_page", ("right_square_bracket",), "next page", "Next page of charts.", 0, "turn_page(1)"),
        Action("previous_page", ("left_square_bracket",), "page before", "Page of charts before.", 0, "turn_page(-1)"),
        Action("focus_below", ("down", "j"), "panel below", "Panel below.", 0, "move_focus(0, 1)"),
        Action("focus_above", ("up", "k"), "panel above", "Panel above.", 0, "move_focus(0, -1)"),
    )),
    ("moving", "screen", ("launch",), (
        Action("next_part", ("tab",), "next part", "Presets, form, plan; a completion is accepted first.", 4),
        Action("previous_part", ("shift+tab",), "part before", "Plan, form, presets."),
    )),
    ("moving", "screen", ("runs", *PAGES, "launch"), (
        Action("cursor_down", ("down", "j"), "down", "Down.", 0, "scroll('down')"),
        Action("cursor_up", ("up", "k"), "up", "Up.", 0, "scroll('up')"),
    )),
    ("moving", "screen", EVERYWHERE, (
        Action("page_down", ("pagedown", "ctrl+f"), "page down", "Scroll down.", 0, "scroll('page_down')"),
        Action("page_up", ("pageup", "ctrl+b"), "page up", "Scroll up.", 0, "scroll('page_up')"),
    )),
    ("moving", "screen", ("watch", "runs", "compare", *PAGES), (
        Action("first", ("home", "g"), "first", "To the beginning.", 0, "scroll('home')"),
        Action("last", ("end", "G"), "last", "To the end.", 0, "scroll('end')"),
    )),
    ("screens", "app", ("watch", "compare", *PAGES, "launch"), (
        Action("runs", ("r",), "runs", "The list of runs.", 10, "show('runs')"),
    )),
    ("screens", "screen", ("watch", "runs"), (
        Action("compare", ("c",), "compare", "Compare the runs on the screen, or the marked ones.", 10),
    )),
    ("screens", "screen", ("runs", "compare", *PAGES, "launch", "help"), (
        Action("back", ("escape",), "back", "Back to the dashboard.", 5),
    )),
    ("screens", "app", EVERYWHERE, (
        *(Action(f"show_{name}", (str(number),), title, text, 0, f"show('{name}')")
          for number, (name, title, text) in enumerate(SCREENS, start=1)),
        Action("choose_screen", ("f2",), "screens", "Choose a screen.", 16),
    )),
)  # fmt: skip
"""The actions of each group that have the same owner and the same screens."""

ACTIONS = tuple(
    replace(action, group=group, owner=owner, screens=screens)
    for group, owner, screens, actions in _TABLE
    for action in actions
)


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
