"""The entries of a chart's legend: a sign and a name for each thing that is drawn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tuitrain.plots.event_markers import SIGNS
from tuitrain.plots.model import Curve, Plot
from tuitrain.plots.terminal import Line, Span, join, line, width

GAP = line("  ")
"""Between two entries."""
_WORD = re.compile(r"(?:[^\s·_/-]|(?<=\de)-(?=\d))+")
"""A word of a name; `1e-3` is one."""
_SHORT_NAME = 14
"""Cells of a name that is shortened."""


class Legend(NamedTuple):
    """All entries, by what they name."""

    curves: list[Line]
    points: list[Line]
    notes: list[Line]
    levels: list[Line]
    events: list[Line]


def legend_of(plot: Plot, outliers: str = "") -> Legend:
    """The entries of all that has a name. Points of several runs have one entry together, each kind of event has one.

    outliers: how many points lie outside of the range.
    """
    shown = [points for points in plot.points if len(points.x)]
    points = [_entry(each.glyph, each.role, each.name) for each in shown if each.name]
    if unnamed := [Span(each.glyph, each.role) for each in shown if not each.name]:
        points.append(line(*unnamed, Span(" validation", "quiet")))
    return Legend(
        curve_entries(named := named_curves(plot), [curve.name for curve in named]),
        points,
        [line(Span(text, "quiet")) for text in (outliers, "log" if plot.log else "") if text],
        [_entry("╌", level.role, level.name) for level in plot.levels if level.name],
        [_entry(SIGNS[kind], role, kind) for kind, role in {each.kind: each.role for each in plot.markers}.items()],
    )


def named_curves(plot: Plot) -> list[Curve]:
    """The curves with a name, in the order of their runs."""
    return sorted((curve for curve in plot.curves if curve.name), key=lambda curve: (curve.order, curve.role))


def curve_entries(curves: Sequence[Curve], names: Sequence[str]) -> list[Line]:
    """Entries of curves with these names."""
    return [_entry(each.glyph or "─", each.role, name) for each, name in zip(curves, names, strict=True)]


def _entry(sign: str, role: str, name: str) -> Line:
    return line(Span(sign, role), Span(f" {name}", "quiet"))


def short_names(names: Sequence[str]) -> list[str]:
    """Short forms of names that stay different: the word in which all differ, else of each a word no other name has.

    `lr1e-2, lr1e-3`; `0001`. A name without such a word stays whole; what is long is shortened in the middle.
    """
    words = [_WORD.findall(name) for name in names]
    for index in range(min(map(len, words), default=0)):
        if len({each[index] for each in words}) == len(words):
            return _shortened([each[index] for each in words])
    holders = Counter(word for each in words for word in set(each))
    return _shortened(
        [next((word for word in each if holders[word] == 1), name) for name, each in zip(names, words, strict=True)]
    )


def _shortened(names: list[str]) -> list[str]:
    """Names with their middle left out where they are long, as long as they stay different."""
    ends = _SHORT_NAME // 2
    shorter = [name if len(name) <= _SHORT_NAME else f"{name[: ends - 1]}…{name[-ends:]}" for name in names]
    return shorter if len(set(shorter)) == len(set(names)) else names


def fitting_legend(plot: Plot, room: int, outliers: str, runs_below: bool = False) -> Line:
    """As many entries as fit; of several runs short names, or the signs alone, so that all fit.

    runs_below: whether the names of the runs are in `legend_rows`.
    """
    curves, points, notes, levels, events = legend_of(plot, outliers)
    # A level needs its name; which curve is smooth and which is raw is visible.
    ranked = [*levels, *notes, *curves, *points, *events]
    if _has_several_runs(plot):
        forms = [[]] if runs_below else _forms(plot)
        curves = next((form for form in forms if width(join(form, GAP)) <= room), forms[-1])
        ranked = [*curves, *points, *notes, *levels, *events]
    kept = next(n for n in range(len(ranked), -1, -1) if width(join(ranked[:n], GAP)) <= max(room, 0))
    shown = ranked[:kept]
    return join((entry for entry in (*curves, *points, *notes, *levels, *events) if entry in shown), GAP)


def legend_rows(plot: Plot, room: int, cells: int) -> list[Line]:
    """The names of several runs as rows of at most `cells` cells; empty where a line with `room` has all of them."""
    full, brief, _ = _forms(plot)
    if not _has_several_runs(plot) or any(width(join(form, GAP)) <= room for form in (full, brief)):
        return []
    chosen = full if width(join(full, GAP)) <= cells else brief
    return [join(row, GAP) for row in wrapped(chosen, cells, cells)]


def wrapped(entries: Sequence[Line], first: int, others: int) -> list[list[Line]]:
    """The entries in rows: the first row has `first` cells, the others `others` each."""
    rows: list[list[Line]] = [[]]
    for entry in entries:
        room = others if len(rows) > 1 else first
        if width(join((*rows[-1], entry), GAP)) > room:
            rows.append([])
        rows[-1].append(entry)
    return rows


def _has_several_runs(plot: Plot) -> bool:
    return sum(bool(curve.name and curve.glyph) for curve in plot.curves) > 1


def _forms(plot: Plot) -> list[list[Line]]:
    """The entries of the curves with full names, with short ones, and the signs alone."""
    named = named_curves(plot)
    names = [curve.name for curve in named]
    full, brief = curve_entries(named, names), curve_entries(named, short_names(names))
    return [full, brief, [entry[:1] for entry in full]]
