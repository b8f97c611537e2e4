"""The launch screen: presets, a form over the chosen one, and the plan, which follows every change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from textual import work
from textual.containers import Horizontal, Vertical
from textual.suggester import SuggestFromList
from textual.validation import Function
from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.input import Selection

from tuitrain.text import clean
from tuitrain.tui.content import form as content
from tuitrain.tui.registry import Scroll, bindings
from tuitrain.tui.screens.page import BaseScreen, moved
from tuitrain.tui.text import Line, Span, crop, line, spread, width
from tuitrain.tui.widgets.line_list import LineList, Row
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from tuitrain.launch.form import LaunchForm
    from tuitrain.launch.request import Field, PresetInfo

PARTS = ("presets", "form", "plan")
INPUTS = {"presets": "find", "form": "keys"}
"""The input that has the focus in a part."""
HELP_ROWS = 3
DEBOUNCE_S = 0.12
_MIDDLE, _WIDE = 100, 150
"""Terminal columns from which two parts, or all three, are beside each other."""


class LaunchScreen(BaseScreen):
    """Presets, form, plan: side by side where there is room, else one at a time."""

    BINDINGS = bindings("launch")
    CSS_PATH = "../styles/launch.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_MIDDLE, "-middle"), (_WIDE, "-wide")]  # noqa: RUF012
    screen_name = "launch"

    def __init__(self) -> None:
        super().__init__()
        self.form: LaunchForm | None = None
        """None until a thread has read the presets."""
        self.part = "presets"
        self.stale = True
        """Whether the preview is of an earlier state of the form."""
        self.field_key = ""
        self._before_edit: str | None = None
        self._starting = False

    def compose_body(self) -> Iterable[Widget]:
        with Horizontal(id="parts"):
            with Vertical(id="presets-part", classes="part"):
                yield Input(placeholder="find a preset, or a FILE.toml", id="find")
                yield LineList(id="list")
                yield Lines(id="preset-title", classes="help")
            with Vertical(id="form-part", classes="part"):
                yield Input(placeholder="find a key, or key=value", id="keys")
                yield LineList(id="form")
                yield Lines(id="help", classes="help")
                yield Input(id="edit", select_on_focus=False)
            with Vertical(id="plan-part", classes="part"):
                yield Pane(id="plan")

    def on_mount(self) -> None:
        for field in self.query(Input):
            # A blinking cursor would send bytes twice a second.
            field.cursor_blink = False
        self.app.theme_changed_signal.subscribe(self, lambda _: self.draw())
        self._show_part("presets")
        # After the first frame: the launcher takes long to import.
        self.call_after_refresh(self._load)

    @work(group="load")
    async def _load(self) -> None:
        def load() -> LaunchForm:
            from tuitrain.launch.form import LaunchForm

            return LaunchForm.load(run.config.get("preset") if run is not None else None)

        run = self.state.run.history.run if self.state.run else None
        form = await asyncio.to_thread(load)
        if not self.is_attached or not self.app.is_running:  # The user left the screen or the app in between.
            return
        self.form = form
        self._input("keys").suggester = SuggestFromList([f"{field.key}=" for field in self.form.fields])
        self.field_key = self.form.fields[0].key
        self.changed()

    def changed(self) -> None:
        """Draw the form, and update the preview in a worker; the last preview is shown until then."""
        self.stale = True
        if self.form is not None:
            self._update_preview(self.form)
        self.draw()

    @work(group="preview", exclusive=True)
    async def _update_preview(self, form: LaunchForm) -> None:
        await asyncio.sleep(DEBOUNCE_S)
        preview = await asyncio.to_thread(form.previewed, form.request)
        form.preview, form.plan = preview, preview.plan or form.plan
        self.stale = False
        self.draw()

    async def _start(self, form: LaunchForm) -> None:
        self._starting = True
        try:
            started = await asyncio.to_thread(form.request.start, self.app.runs_dir)
        finally:
            self._starting = False
        self.app.open_runs([started.run], "watch")
        self.app.notify(f"started {started.run.run_id}. {started.note or ''}".strip())

    def action_start_run(self) -> None:
        if self.form is not None and self.form.preset and not self._starting:
            self.run_actions.run(partial(self._start, self.form))

    def action_copy_command(self) -> None:
        if self.form is not None:
            command = self.form.command(self.app.runs_dir)
            self.app.copy_to_clipboard(command)
            self.app.notify(f"copied: {command}")

    # Drawing.

    def _input(self, name: str) -> Input:
        return self.query_one(f"#{name}", Input)

    def _list(self, name: str) -> LineList:
        return self.query_one(f"#{name}", LineList)

    def matching_presets(self) -> list[PresetInfo]:
        """The presets that match the text that was typed."""
        return self.form.matching_presets(self._input("find").value) if self.form else []

    def matching_fields(self) -> list[Field]:
        """The fields that match the text that was typed."""
        return self.form.matching_fields(self._input("keys").value) if self.form else []

    def header_lines(self, cells: int) -> list[Line]:
        form, readonly = self.form, self.app.settings.readonly
        status = content.status_line(None if form is None or self.stale else form.preview, readonly)
        button = () if readonly else line(Span(" ctrl+s start ", "key", "screen.start_run"))
        name = line(Span(" Launch ", "title"), Span(clean(form.preset if form else ""), "run.name"), "   ", *status)
        top = spread([crop(name, max(cells - width(button) - 2, 0)), button], cells) or crop(name, cells)
        command = f" $ {clean(form.command(self.app.runs_dir))}" if form and form.preset else ""
        return [top, line(Span(command, "quiet", "screen.copy_command"))]

    def draw_body(self, cells: int) -> None:
        for name in PARTS:
            title = name if cells >= _MIDDLE else "  ".join(f"[b u]{p}[/]" if p == self.part else p for p in PARTS)
            self.query_one(f"#{name}-part").border_title = title
        if (form := self.form) is None:
            self._list("list").show([(None, line(Span(" reading the presets", "quiet")))])
            return
        self._draw_presets(form)
        self._draw_fields(form)
        if (plan := self.query_one("#plan", Pane)).size:
            plan.show(content.plan_lines(form, plan.size.width - 1))

    def _draw_presets(self, form: LaunchForm) -> None:
        presets, cells = self._list("list"), self._list("list").size.width
        rows: list[Row] = [(each.name, content.preset_line(each, cells)) for each in self.matching_presets()]
        nothing = f" no preset matches; {form.preset} stays" if form.preset else " no preset matches"
        presets.show(rows or [(None, line(Span(nothing, "quiet")))], form.preset)
        title = next((each.title for each in self.matching_presets() if each.name == form.preset), "")
        self.query_one("#preset-title", Lines).show(content.sentence_lines(title, cells, HELP_ROWS))

    def _draw_fields(self, form: LaunchForm) -> None:
        fields, matching = self._list("form"), self.matching_fields()
        cells = fields.size.width - 1
        rows = content.form_rows(form, matching, cells)
        fields.show(rows or [(None, line(Span(" no key matches", "quiet")))], self.field_key)
        text = next((each.help for each in matching if each.key == self.field_key), "")
        self.query_one("#help", Lines).show(content.sentence_lines(text, cells + 1, HELP_ROWS))
        self._align_edit()

    def _align_edit(self) -> None:
        """Put the edited line over the value of its field."""
        edit, fields = self._input("edit"), self._list("form")
        if edit.display and fields.highlighted is not None:
            left = min(3 + content.KEY_CELLS, max(fields.size.width - 12, 0))
            edit.styles.offset = (left, 1 + max(fields.highlighted - round(fields.scroll_target_y), 0))
            edit.styles.width = max(fields.size.width - left - 1, 8)

    # Keys and mouse.

    def _show_part(self, name: str) -> None:
        self._end_edit()
        self.part = name
        for part in PARTS:
            self.set_class(part == name, part)
        self.set_focus(self._input(INPUTS[name]) if name in INPUTS else None)
        self.lay_out()

    async def action_next_part(self) -> None:
        """Accept the completion of the input, if there is one, else go to the next part."""
        field = self.focused
        if isinstance(field, Input) and field.suggester and field.value and field.cursor_at_end:
            suggestion = await field.suggester.get_suggestion(field.value)
            if suggestion not in (None, field.value):
                field.value = suggestion or ""
                field.action_end()
                return
        self._show_part(PARTS[(PARTS.index(self.part) + 1) % len(PARTS)])

    def action_previous_part(self) -> None:
        self._show_part(PARTS[(PARTS.index(self.part) - 1) % len(PARTS)])

    def action_back(self) -> None:
        """Undo the edit, else clear the filter, else go a part back, else leave the screen."""
        if self._before_edit is not None:
            before = self._before_edit
            self._end_edit()
            self.set_field(self.field_key, before)
            self.set_focus(self._input("keys"))
            return
        field = self._input(INPUTS.get(self.part, "keys"))
        if self.part in INPUTS and field.value:
            field.value = ""
        elif self.part == "presets":
            super().action_back()
        else:
            self._show_part(PARTS[PARTS.index(self.part) - 1])

    def action_scroll(self, to: Scroll) -> None:
        by = {"down": 1, "up": -1, "page_down": 10, "page_up": -10}[to]
        if self.part == "plan" or self.form is None:
            self.query_one("#plan", Pane).scroll_relative(y=by, animate=False)
        elif self.part == "presets":
            self._choose(moved([each.name for each in self.matching_presets()], self.form.preset, by))
        else:
            editing = self._before_edit is not None
            self._select(moved([each.key for each in self.matching_fields()], self.field_key, by), edit=editing)

    def _choose(self, name: str) -> None:
        if self.form is not None and name != self.form.preset:
            self.form.preset = name
            self.changed()

    def _select(self, key: str, *, edit: bool) -> None:
        """Move the cursor to a field, and edit it."""
        self._end_edit()
        self.field_key = key
        self.draw()
        if edit:
            self._begin_edit()

    def set_field(self, key: str, text: str) -> None:
        """Fill in a field."""
        if self.form is not None:
            self.form.set(key, text)
            self.changed()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click: choose a preset, at the second click go on to the form; or edit a field."""
        name = event.option_id or ""
        if event.option_list.id == "form":
            self._show_part("form")
            self._select(name, edit=True)
        elif self.form is not None and name == self.form.preset and self.part == "presets":
            self._show_part("form")
        else:
            self._show_part("presets")
            self._choose(name)

    def _begin_edit(self) -> None:
        """Edit the value of the highlighted field in its row."""
        form, edit = self.form, self._input("edit")
        field = next((each for each in self.matching_fields() if each.key == self.field_key), None)
        if form is None or field is None:
            return
        value = form.values.get(field.key, "")
        self._before_edit = form.changes.get(field.key, "")
        edit.suggester = SuggestFromList(field.choices) if field.choices else None
        edit.validators = [Function(partial(form.accepts, field.key))]
        edit.display = True
        with edit.prevent(Input.Changed):
            edit.value = value
        edit.selection = Selection(0, len(value))
        self.set_focus(edit)
        self._align_edit()

    def _end_edit(self) -> None:
        """Hide the edited line; its text is filled in already."""
        self._before_edit = None
        self._input("edit").display = False

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "edit":
            self.set_field(self.field_key, event.value)
        elif event.input.id == "find":
            self._find(event.value.strip())
        else:
            keys = [each.key for each in self.matching_fields()]
            if keys and self.field_key not in keys:
                self.field_key = keys[0]
        self.draw()

    def _find(self, text: str) -> None:
        """Choose a file, or the first preset that matches unless the chosen one does."""
        names = [each.name for each in self.matching_presets()]
        if text.endswith(".toml"):
            self._choose(text)
        elif text and names and self.form is not None and self.form.preset not in names:
            self._choose(names[0])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "find":
            if not event.value.strip().endswith(".toml"):
                event.input.value = ""
            self._show_part("form")
        elif event.input.id == "edit":
            self._end_edit()
            keys = self._input("keys")
            self.set_focus(keys)
            # The next letter replaces the filter.
            keys.selection = Selection(0, len(keys.value))
            self.draw()
        else:
            self._enter(event.value)

    def _enter(self, text: str) -> None:
        """Fill in `key=value`; without `=` edit the highlighted field."""
        key, equals, value = text.partition("=")
        if not equals:
            self._begin_edit()
            return
        matching = [each.key for each in self.matching_fields()]
        if matching:
            self.field_key = key.strip() if key.strip() in matching else matching[0]
            self.set_field(self.field_key, value)
            self._input("keys").value = ""
