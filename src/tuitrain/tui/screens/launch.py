"""Starting a run: presets, a form over the chosen one, and the plan, which follows every change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input
from textual.widgets.input import Selection

from tuitrain.events.text import clean
from tuitrain.tui.actions import bindings, foot
from tuitrain.tui.content import form
from tuitrain.tui.screens.launch_request import LaunchRequestScreen
from tuitrain.tui.text import Line, Span, crop, line, spread, width
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from tuitrain.launch.request import Field, PresetInfo

PARTS = ("presets", "form", "plan")
HELP_ROWS = 3
_WIDE, _MIDDLE = 150, 100
"""Terminal columns from which all three parts, or two of them, stand beside each other."""


class LaunchScreen(LaunchRequestScreen):
    """Presets, form, plan: side by side where there is room, else one at a time."""

    BINDINGS = bindings("launch")
    screen_name = "launch"
    DEFAULT_CSS = """
    LaunchScreen #parts { height: 1fr; }
    LaunchScreen .part { height: 1fr; width: 1fr; border: round $foreground 25%; border-title-color: $foreground;
                         border-title-style: bold; }
    LaunchScreen .part.on { border: round $primary; }
    LaunchScreen #presets-part { width: 40; }
    LaunchScreen #form-part { layers: base over; }
    LaunchScreen Input, LaunchScreen Input:focus { border: none; height: 1; padding: 0 1; background: $surface; }
    LaunchScreen #edit, LaunchScreen #edit:focus { layer: over; position: absolute; padding: 0; display: none;
                                                   background: $primary 30%; }
    LaunchScreen .help { height: 3; overflow: hidden; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.part = "presets"
        self.field_key = ""
        self._before_edit: str | None = None
        self._rows = form.FormRows((), {})

    def compose_body(self) -> Iterable[Widget]:
        presets = Vertical(
            Input(placeholder="find a preset, or a FILE.toml", id="find"), Pane(id="list"),
            Lines(id="about", classes="help"), id="presets-part",
        )  # fmt: skip
        keys = Vertical(
            Input(placeholder="find a key, or key=value", id="keys"), Pane(id="form"), Lines(id="help", classes="help"),
            Input(id="edit", select_on_focus=False), id="form-part",
        )  # fmt: skip
        plan = Vertical(Pane(id="plan"), id="plan-part")
        for widget in (presets, keys, plan):
            widget.add_class("part")
        yield Horizontal(presets, keys, plan, id="parts")

    def on_mount(self) -> None:
        for field in self.query(Input):
            # A cursor that blinks would send something twice a second for ever.
            field.cursor_blink = False
        self._show_part("presets")
        # After the first drawing: what follows imports much.
        self.call_after_refresh(self.run_worker, self.load, group="load")

    def _input(self, name: str) -> Input:
        return self.query_one(f"#{name}", Input)

    def _pane(self, name: str) -> Pane:
        return self.query_one(f"#{name}", Pane)

    # What is shown.

    def header_lines(self, cells: int) -> list[Line]:
        status = form.status_line(None if self.stale else self.preview, self.app.settings.readonly)
        button = () if self.app.settings.readonly else line(Span(" ctrl+s start ", "key", "screen.start_run"))
        name = line(Span(" Launch ", "title"), Span(clean(self.preset), "run.name"), "   ", *status)
        top = spread([crop(name, max(cells - width(button) - 2, 0)), button], cells) or crop(name, cells)
        command = Span(f" $ {clean(self.command)}" if self.preset else "", "quiet", "screen.copy_command")
        return [top, crop(line(command), cells)]

    def foot_lines(self, cells: int, rows: int) -> list[Line]:
        """Only keys that work while a field is being filled in."""
        actions = [
            replace(each, keys=form.without_letters(each.keys), footer=9 if each.id == "choose_screen" else each.footer)
            for each in self.app.actions
        ]
        return foot(self.screen_name, cells, rows, actions, self.app.settings.readonly)

    @property
    def found_presets(self) -> list[PresetInfo]:
        """The presets that match what was typed."""
        words = self._input("find").value.lower().split()
        return [each for each in self.preset_infos or () if each.matches(words)]

    @property
    def found_fields(self) -> list[Field]:
        """The keys that match what was typed."""
        return form.matching(self.fields, self._input("keys").value)

    def lay_out(self) -> None:
        cells = self.app.size.width
        for name in PARTS:
            part = self.query_one(f"#{name}-part")
            wide, beside = cells >= _WIDE, cells >= _MIDDLE and name == ("plan" if self.part != "plan" else "form")
            part.display = wide or beside or name == self.part
            part.set_class(name == self.part, "on")
            part.border_title = name if cells >= _MIDDLE else _titles(name)
        self.query_one("#presets-part").styles.width = 40 if cells >= _WIDE else "1fr"
        super().lay_out()

    def draw_body(self, cells: int) -> None:
        self._draw_presets()
        self._draw_form()
        if (plan := self._pane("plan")).size:
            plan.show(form.plan_lines(self.preview, self.plan, plan.size.width - 1) if self.plan else [])

    def _draw_presets(self) -> None:
        pane = self._pane("list")
        if self.preset_infos is None:
            pane.show([line(Span(" reading the presets", "quiet"))])
            return
        found = self.found_presets
        names = [each.name for each in found]
        nothing = f" no preset matches; {self.preset} stays" if self.preset else " no preset matches"
        pane.show(form.preset_lines(found, pane.size.width - 1) or [line(Span(nothing, "quiet"))])
        _set_cursor(pane, names.index(self.preset) if self.preset in names else None)
        about = next((each.title for each in found if each.name == self.preset), "")
        self.query_one("#about", Lines).show(form.sentence_lines(about, pane.size.width, HELP_ROWS))

    def _draw_form(self) -> None:
        pane = self._pane("form")
        if not pane.size or not self.fields:
            return
        if not self.field_key:
            self.field_key = self.fields[0].key
            self._input("keys").suggester = SuggestFromList([f"{each.key}=" for each in self.fields])
        original = self.originals.get(self.preset, {})
        found = self.found_fields
        self._rows = form.form_lines(found, self.preview, self.changes, original, pane.size.width - 1)
        pane.show(self._rows.lines or [line(Span(" no key matches", "quiet"))])
        _set_cursor(pane, self._rows.place.get(self.field_key))
        under = next((each for each in found if each.key == self.field_key), None)
        self.query_one("#help", Lines).show(form.sentence_lines(form.help_text(under), pane.size.width, HELP_ROWS))
        self._place_edit()

    def _place_edit(self) -> None:
        """The line that is edited lies over the value of its key."""
        edit, pane, row = self._input("edit"), self._pane("form"), self._rows.place.get(self.field_key)
        if not edit.display or row is None:
            return
        top = row - round(pane.scroll_target_y)
        left = min(3 + form.KEY_CELLS, max(pane.size.width - 12, 0))
        edit.styles.offset = (left, 1 + max(top, 0))
        edit.styles.width = max(pane.size.width - left - 1, 8)

    # Keys and mouse.

    def _show_part(self, name: str) -> None:
        self._end_edit()
        self.part = name
        self.lay_out()
        field = {"presets": "find", "form": "keys"}.get(name)
        self.set_focus(self._input(field) if field else None)

    def action_next_part(self) -> None:
        field = self.focused
        # Textual has no public name for the completion that stands there.
        if isinstance(field, Input) and field._suggestion and field.cursor_at_end:
            field.action_cursor_right()
            return
        self._show_part(PARTS[(PARTS.index(self.part) + 1) % len(PARTS)])

    def action_previous_part(self) -> None:
        self._show_part(PARTS[(PARTS.index(self.part) - 1) % len(PARTS)])

    def action_back(self) -> None:
        """Out of the field, then out of the filter, then a part back, then off the screen."""
        if self._before_edit is not None:
            before = self._before_edit
            self._end_edit()
            self.set_field(self.field_key, before)
            self.set_focus(self._input("keys"))
            return
        field = self._input("find" if self.part == "presets" else "keys")
        if self.part != "plan" and field.value:
            field.value = ""
        elif self.part == "presets":
            super().action_back()
        else:
            self._show_part(PARTS[PARTS.index(self.part) - 1])

    def action_cursor_down(self) -> None:
        self._step(1)

    def action_cursor_up(self) -> None:
        self._step(-1)

    def action_page_down(self) -> None:
        self._step(10)

    def action_page_up(self) -> None:
        self._step(-10)

    def _step(self, by: int) -> None:
        if self.part == "presets":
            names = [each.name for each in self.found_presets]
            if names:
                at = names.index(self.preset) + by if self.preset in names else 0
                self._choose(names[max(0, min(at, len(names) - 1))])
        elif self.part == "form":
            keys = [each.key for each in self.found_fields]
            if keys:
                at = keys.index(self.field_key) + by if self.field_key in keys else 0
                editing = self._before_edit is not None
                self._end_edit()
                self.field_key = keys[max(0, min(at, len(keys) - 1))]
                self.draw()
                if editing:
                    self._begin_edit()
        else:
            self._pane("plan").scroll_relative(y=by, animate=False)

    def _choose(self, name: str) -> None:
        if name != self.preset:
            self.preset = name
            self.changed()

    def action_choose_preset(self, index: int) -> None:
        name = self.found_presets[index].name
        if name == self.preset and self.part == "presets":
            self._show_part("form")
        else:
            self._show_part("presets")
            self._choose(name)

    def action_edit_field(self, index: int) -> None:
        self._show_part("form")
        self.field_key = self.found_fields[index].key
        self.draw()
        self._begin_edit()

    def _begin_edit(self) -> None:
        """Edit the value of the key under the cursor where it stands."""
        under = next((each for each in self.fields if each.key == self.field_key), None)
        if under is None or self.field_key not in self._rows.place:
            return
        known = self.preview.values if self.preview is not None else self.originals.get(self.preset, {})
        value = self.changes.get(under.key, known.get(under.key, ""))
        self._before_edit = self.changes.get(under.key, "")
        edit = self._input("edit")
        edit.suggester = SuggestFromList(under.choices) if under.choices else None
        edit.display = True
        with edit.prevent(Input.Changed):
            edit.value = value
        edit.selection = Selection(0, len(value))
        self.set_focus(edit)
        self._place_edit()

    def _end_edit(self) -> None:
        """What was typed is already filled in."""
        self._before_edit = None
        self._input("edit").display = False

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "edit":
            self.set_field(self.field_key, event.value)
            return
        if event.input.id == "find":
            self._find(event.value.strip())
        else:
            keys = [each.key for each in self.found_fields]
            if keys and self.field_key not in keys:
                self.field_key = keys[0]
        self.draw()

    def _find(self, text: str) -> None:
        """The first preset that matches, or a file, is the chosen one."""
        names = [each.name for each in self.found_presets]
        if text.endswith(".toml"):
            self.preset = text
            self.changed()
        elif text and names and self.preset not in names:
            self._choose(names[0])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "find":
            if not event.value.strip().endswith(".toml"):
                # Found: all presets are there again, with the cursor on this one.
                event.input.value = ""
            self._show_part("form")
        elif event.input.id == "edit":
            self._end_edit()
            self._back_to_keys()
            self.draw()
        else:
            self._enter(event.value)

    def _enter(self, text: str) -> None:
        """`key=value` is filled in at once; otherwise the key under the cursor is edited."""
        key, equals, value = text.partition("=")
        if not equals:
            self._begin_edit()
            return
        found = form.matching(self.fields, key)
        exact = [each for each in found if each.key == key.strip()] or found[:1]
        if exact:
            self.field_key = exact[0].key
            self.set_field(self.field_key, value)
            self._input("keys").value = ""

    def _back_to_keys(self) -> None:
        keys = self._input("keys")
        self.set_focus(keys)
        # The next letter looks for another key.
        keys.selection = Selection(0, len(keys.value))


def _titles(shown: str) -> str:
    """All parts, where only one is in sight, with that one set off."""
    return "  ".join(f"[b u]{name}[/]" if name == shown else name for name in PARTS)


def _set_cursor(pane: Pane, row: int | None) -> None:
    """Set off this line and no other."""
    if row is not None:
        pane.move_cursor(row)
    elif pane.cursor is not None:
        pane.cursor = None
        pane.refresh()
