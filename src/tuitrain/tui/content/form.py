"""The launch form as lines: presets, keys with their values, and the plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuitrain.analysis import units
from tuitrain.events.text import clean
from tuitrain.tui.text import Line, Span, align, crop, line, wrap

if TYPE_CHECKING:
    from tuitrain.launch.plan import Plan
    from tuitrain.launch.request import Field, LaunchPreview, PresetInfo

KEY_CELLS = 27
_NAME_CELLS = 16


def preset_lines(preset_infos: Sequence[PresetInfo], cells: int) -> list[Line]:
    """A line for each preset: its name, its size, and whether it fits here; where there is room its title."""
    rows = []
    for index, each in enumerate(preset_infos):
        size = units.count(each.parameters) if each.parameters is not None else "n/a"
        fits = {True: Span("fits", "good"), False: Span("too big", "warn"), None: Span("n/a", "quiet")}[each.fits]
        parts = [
            Span(f" {align(each.name, _NAME_CELLS)}", "text"),
            Span(align(size, 8, right=True), "quiet"),
            Span("  "),
            Span(align(fits.text, 7), fits.role),
        ]
        if cells >= 60:
            parts.append(Span(f"  {clean(each.title)}", "quiet"))
        rows.append(tuple(Span(part.text, part.role, f"screen.choose_preset({index})") for part in parts))
    return rows


@dataclass(frozen=True)
class FormRows:
    """The lines of the form, and the line of each key in their order."""

    lines: tuple[Line, ...]
    place: Mapping[str, int]


def matching(fields: Sequence[Field], text: str) -> list[Field]:
    """The fields whose key has every word of the text, else those whose help has; `=value` after it does not count."""
    words = text.partition("=")[0].lower().split()
    by_key = [each for each in fields if all(word in each.key for word in words)]
    return by_key or [each for each in fields if all(word in f"{each.key} {each.doc}".lower() for word in words)]


def form_lines(
    fields: Sequence[Field],
    preview: LaunchPreview | None,
    changes: Mapping[str, str],
    original: Mapping[str, str],
    cells: int,
) -> FormRows:
    """Keys by section with their values; what differs from the preset is marked, what is wrong is said below it."""
    lines: list[Line] = []
    place: dict[str, int] = {}
    section = ""
    errors = preview.errors if preview is not None else {}
    if "" in errors:
        lines += [line(Span(row, "bad")) for row in wrap(f" {errors['']}", cells)]
    for number, each in enumerate(fields):
        if each.section != section:
            section = each.section
            lines.append(line(Span(f" {section}", "title")))
        place[each.key] = len(lines)
        lines.append(crop(_row(each, preview, changes, original, number), cells))
        if each.key in errors:
            lines += [line(Span(f"     {row}", "bad")) for row in wrap(errors[each.key], max(cells - 6, 10))]
    return FormRows(tuple(lines), place)


def _row(
    each: Field, preview: LaunchPreview | None, changes: Mapping[str, str], original: Mapping[str, str], number: int
) -> Line:
    changed = each.key in changes
    known = preview.values if preview is not None else {}
    value = changes.get(each.key, known.get(each.key, original.get(each.key, "")))
    wrong = preview is not None and each.key in preview.errors
    role = "bad" if wrong else "value" if changed or value not in ("", "none") else "quiet"
    action = f"screen.edit_field({number})"
    name = each.key.removeprefix(f"{each.section}.")
    parts = [
        Span(" • " if changed else "   ", "accent", action),
        Span(align(name, KEY_CELLS), "text" if changed else "quiet", action),
        Span(clean(value) or "·", role, action),
    ]
    before = original.get(each.key, "")
    if changed and before and before != value:
        parts.append(Span(f"   was {clean(before)}", "quiet", action))
    return tuple(parts)


def help_text(each: Field | None) -> str:
    """What a key means, and the words it takes where it takes only some."""
    if each is None:
        return ""
    return f"{each.doc} One of {', '.join(each.choices)}." if each.choices else each.doc


def sentence_lines(text: str, cells: int, rows: int) -> list[Line]:
    """Quiet words in exactly so many rows."""
    shown = [line(Span(f" {row}", "quiet")) for row in wrap(clean(text), max(cells - 2, 10))]
    if len(shown) > rows:
        shown = [*shown[: rows - 1], crop((*shown[rows - 1], Span(" …", "quiet")), cells)]
    return [*shown, *[line()] * (rows - len(shown))]


def plan_lines(preview: LaunchPreview | None, before: Plan, cells: int) -> list[Line]:
    """The plan as `tuitrain plan` says it; above it why the run cannot be started, if it cannot.

    before: the newest plan there was, shown quiet while a key is wrong.
    """
    from tuitrain.launch.plan_view import plan_rows

    lines: list[Line] = []
    if preview is None:
        return lines
    problems = [*preview.errors.values(), *([preview.obstacle] if preview.obstacle else [])]
    for problem in problems:
        lines += [line(Span(f" {row}", "bad")) for row in wrap(problem, max(cells - 2, 10))]
        lines.append(line())
    for name, text in plan_rows(preview.plan or before):
        first = _role(name, preview.plan)
        lines += _fact(name, text, cells, first, "quiet" if preview.plan is None else "text")
    return lines


def _role(name: str, plan: Plan | None) -> str:
    if plan is None:
        return "quiet"
    if name != "memory" or plan.fits is None:
        return "value"
    return "good" if plan.fits else "bad"


def _fact(name: str, text: str, cells: int, first: str, other: str) -> list[Line]:
    """A named fact, its first line in a role of its own; beside the name where there is room, else below it."""
    beside = cells >= 60
    indent = 18 if beside else 3
    rows: list[Line] = [] if beside else [line(Span(f" {name}", "quiet"))]
    for number, paragraph in enumerate(text.split("\n")):
        for part in wrap(paragraph, max(cells - indent - 1, 10)):
            label = f" {name}" if beside and not rows else ""
            rows.append(line(Span(align(label, indent), "quiet"), Span(clean(part), first if number == 0 else other)))
    return rows


def status_line(preview: LaunchPreview | None, readonly: bool) -> Line:
    """Whether it could be started, in a line."""
    if preview is None:
        return line(Span("… working it out", "quiet"))
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


def without_letters(keys: Sequence[str]) -> tuple[str, ...]:
    """The keys that do something while a line of text is edited: not those that write a character."""
    written: Collection[str] = ("question_mark", "colon", "slash", "space", "plus", "minus", "comma", "full_stop")
    return tuple(key for key in keys if len(key) > 1 and key not in written)
