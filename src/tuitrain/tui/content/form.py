"""The lines of the launch screen: presets, fields with their values, and the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitrain.analysis import units
from tuitrain.text import clean
from tuitrain.tui.text import Line, Span, align, crop, fit, line, paragraphs

if TYPE_CHECKING:
    from tuitrain.launch.form import LaunchForm
    from tuitrain.launch.request import Field, LaunchPreview, PresetInfo

KEY_CELLS = 27
_NAME_CELLS = 16
_CELLS_WITH_TITLE = 60
_CELLS_WITH_NAMES_BESIDE = 60


def preset_line(preset: PresetInfo, cells: int) -> Line:
    """Name, size and fit of a preset; where there is room its title."""
    size = units.count(preset.parameters) if preset.parameters is not None else "n/a"
    fits = {True: Span("fits   ", "good"), False: Span("too big", "warn"), None: Span("n/a    ", "quiet")}[preset.fits]
    title = [Span(f"  {clean(preset.title)}", "quiet")] if cells >= _CELLS_WITH_TITLE else []
    size_span = Span(f"{align(size, 8, right=True)}  ", "quiet")
    return (Span(f" {align(preset.name, _NAME_CELLS)}"), size_span, fits, *title)


def form_rows(form: LaunchForm, fields: Sequence[Field], cells: int) -> list[tuple[str | None, Line]]:
    """The fields by section, each row with its key; titles of sections and errors, below their field, have none."""

    def error_rows(key: str, indent: str) -> list[tuple[str | None, Line]]:
        error = form.errors.get(key)
        return [(None, row) for row in paragraphs(error, cells - 1, "bad", line(indent))] if error else []

    rows, section, values = error_rows("", " "), "", form.values
    for field in fields:
        if field.section != section:
            section = field.section
            rows.append((None, line(Span(f" {section}", "title"))))
        key, changed = field.key, field.key in form.changes
        value, before = values.get(key, ""), form.original.get(key, "")
        role = "bad" if key in form.errors else "value" if changed or value not in ("", "none") else "quiet"
        name = Span(align(key.removeprefix(f"{section}."), KEY_CELLS), "text" if changed else "quiet")
        replaced = [Span(f"   was {clean(before)}", "quiet")] if changed and before and before != value else []
        row = (Span(" • " if changed else "   ", "accent"), name, Span(clean(value) or "·", role), *replaced)
        rows.append((key, row))
        rows += error_rows(key, "     ")
    return rows


def sentence_lines(text: str, cells: int, rows: int) -> list[Line]:
    """A quiet text in exactly so many rows."""
    shown = paragraphs(text, cells - 1, "quiet", line(" ")) if text else []
    if len(shown) > rows:
        shown = [*shown[: rows - 1], crop((*shown[rows - 1], Span(" …", "quiet")), cells)]
    return [*shown, *[line()] * (rows - len(shown))]


def plan_lines(form: LaunchForm, cells: int) -> list[Line]:
    """The reasons why the run cannot be started, then the rows of the newest plan, quiet while a key is wrong."""
    preview, lines = form.preview, list[Line]()
    if preview is None:
        return lines
    for problem in filter(None, (*preview.errors.values(), preview.obstacle)):
        lines += [*paragraphs(problem, cells - 1, "bad", line(" ")), line()]
    fits = None if form.plan is None else form.plan.fits
    # With the first plan: the launcher takes long to import.
    from tuitrain.launch.plan_view import plan_rows

    for name, text in plan_rows(form.plan) if form.plan is not None else ():
        roles = ("quiet", "quiet") if preview.plan is None else ("value", "text")
        if preview.plan is not None and name == "memory" and fits is not None:
            roles = ("good" if fits else "bad", "text")
        lines += _plan_row(name, text, cells, roles)
    return lines


def _plan_row(name: str, text: str, cells: int, roles: tuple[str, str]) -> list[Line]:
    """A named row: roles of its first paragraph and of others; beside the name where there is room, else below it."""
    head = line(Span(f" {name}", "quiet"))
    beside = cells >= _CELLS_WITH_NAMES_BESIDE
    blanks = line(" " * (18 if beside else 3))
    first, *others = text.split("\n")
    rows = paragraphs(first, cells - 1, roles[0], fit(head, 18) if beside else blanks)
    rows += [row for other in others for row in paragraphs(other, cells - 1, roles[1], blanks)]
    return rows if beside else [head, *rows]


def status_line(preview: LaunchPreview | None, readonly: bool) -> Line:
    """Whether the run can be started. preview: None while it is computed."""
    if preview is None:
        return line(Span("… planning", "quiet"))
    if preview.errors:
        count = len(preview.errors)
        return line(Span(f"✗ {count} {'key is' if count == 1 else 'keys are'} wrong", "bad"))
    if preview.obstacle:
        return line(Span(f"✗ {preview.obstacle}", "bad"))
    if preview.plan is not None and preview.plan.fits is False:
        return line(Span("! it is estimated not to fit", "warn"))
    if readonly:
        return line(Span("✓ could be started, but this dashboard is only for reading", "quiet"))
    return line(Span("✓ ready", "good"))
