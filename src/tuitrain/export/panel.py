"""One panel of the dashboard as a file: a figure in the house style, or the numbers behind it as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tuitrain.analysis.limits import drawable
from tuitrain.export.errors import ExportError
from tuitrain.files import writing
from tuitrain.runs import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "csv")
SIZE_INCHES = (7.6, 4.4)
DPI = 200
X_LABELS = {"step": "step", "tokens": "tokens", "time": "training time", "clock": "clock", "flops": "compute, FLOP"}
CSV_X = {"step": "step", "tokens": "tokens", "time": "training_time_s", "clock": "unix_time_s", "flops": "flop"}
_ROWS_IN_LEGEND = 12
MARKS = {
    "checkpoint": ("^", "checkpoint"),
    "eval": ("^", "evaluation"),
    "restart": ("|", "resumed"),
    "alert": ("$!$", "alert"),
}
"""Matplotlib's marker and the name of each kind of thing that happens along a run."""


@dataclass(frozen=True)
class Line:
    """A curve. role: `run0` … is a run's own colour, `run0.faint` the same drawn thin, anything else is grey.

    Only what has a colour of a run is data, and is in the table of numbers. column: its head there; std: of a mean, the
    standard deviation, drawn as a band to either side of it.
    """

    x: FloatArray
    y: FloatArray
    role: str
    name: str = ""
    column: str = ""
    std: FloatArray | None = None


@dataclass(frozen=True)
class Stars:
    """Single points; role as for a line, and `val` for validation."""

    x: FloatArray
    y: FloatArray
    role: str
    name: str = ""
    column: str = ""


@dataclass(frozen=True)
class Panel:
    """What a panel shows. x in the unit of its axis: steps, tokens, seconds, Unix seconds, FLOP.

    levels: (y, name) of dashed lines; marks: (x, kind) of things that happened, by the kinds of `MARKS`; zoom: the part
    of x in sight; clip: leave outliers out of the vertical range; note: what was done to the curves, in a
    corner; as_map: the lines, all with the same x, are the rows of a heat map.
    """

    title: str
    head: str
    x_axis: str
    lines: tuple[Line, ...] = ()
    stars: tuple[Stars, ...] = ()
    levels: tuple[tuple[float, str], ...] = ()
    marks: tuple[tuple[float, str], ...] = ()
    zoom: tuple[float, float] | None = None
    log_x: bool = False
    log_y: bool = False
    from_zero: bool = False
    clip: bool = False
    note: str = ""
    as_map: bool = False

    @property
    def numbers(self) -> tuple[Line | Stars, ...]:
        """What goes into the table: no projections, and nothing that a later attempt did again."""
        return (*(each for each in self.lines if each.role.startswith("run")), *self.stars)

    @property
    def parts(self) -> tuple[Line | Stars, ...]:
        """All that has points."""
        return (*self.lines, *self.stars)

    def in_sight(self, x: FloatArray) -> Any:
        """Which of these places are shown."""
        known = np.isfinite(x)
        return known if self.zoom is None else known & (x >= self.zoom[0]) & (x <= self.zoom[1])


def export_panel(panel: Panel, out: Path) -> Path:
    """Write the panel; the suffix of the file (`.svg`, `.png`, `.csv`) says how. Raises ExportError or OSError."""
    kind = out.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise ExportError(f"{out.name}: a panel is written as {', '.join(FORMATS)}, not as {kind or 'nothing'}.")
    if not any(panel.in_sight(part.x).any() for part in panel.numbers):
        raise ExportError(f"{panel.title} has nothing to export: no points are in sight.")
    out.parent.mkdir(parents=True, exist_ok=True)
    if kind == "csv":
        _write_csv(panel, out)
        return out
    from tuitrain.export.figures import save_figure
    from tuitrain.export.style import figure_style

    with figure_style():
        save_figure(panel_figure(panel), out.parent, out.stem, (kind,), DPI)
    return out


def _write_csv(panel: Panel, out: Path) -> None:
    """A row for each x that anything has a value at, a column for each line, each deviation and each set of stars."""
    parts = _columns(panel)
    shown = [panel.in_sight(part.x) for part in parts]
    x = np.unique(np.concatenate([part.x[rows] for part, rows in zip(parts, shown, strict=True)]))
    columns: list[list[str]] = []
    for part, rows in zip(parts, shown, strict=True):
        column = [""] * len(x)
        places = np.searchsorted(x, part.x[rows])
        for place, value in zip(places.tolist(), part.y[rows].tolist(), strict=True):
            column[place] = _number(value)
        columns.append(column)
    with writing(out), out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([CSV_X.get(panel.x_axis, panel.x_axis), *_column_names(panel, parts)])
        writer.writerows(zip(map(_number, x.tolist()), *columns, strict=True))


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _columns(panel: Panel) -> list[Line | Stars]:
    """What is in the table, a standard deviation beside its mean."""
    found: list[Line | Stars] = []
    for part in panel.numbers:
        if isinstance(part, Line) and part.std is not None:
            head = part.column or part.name or panel.title
            found += [replace(part, column=f"{head} mean"), replace(part, y=part.std, column=f"{head} std")]
        else:
            found.append(part)
    return found


def _column_names(panel: Panel, parts: Sequence[Line | Stars]) -> list[str]:
    plain = [part.column or part.name or panel.title for part in parts]
    return [
        name if plain.index(name) == at else f"{name} {plain[: at + 1].count(name)}" for at, name in enumerate(plain)
    ]


def panel_figure(panel: Panel) -> Figure:
    """The panel as a figure, in the style that holds when it is called."""
    from tuitrain.export.style import font, grey, new_figure

    panel = replace(
        panel,
        lines=tuple(replace(each, y=drawable(each.y)) for each in panel.lines),
        stars=tuple(replace(each, y=drawable(each.y)) for each in panel.stars),
    )
    figure = new_figure(*SIZE_INCHES, head=0.3)
    axes = figure.add_subplot()
    axes.set_title(panel.title)
    figure.text(0.012, 0.975, panel.head, fontsize=font(8.5), color=grey(), va="top")
    scale = _scale_x(panel, axes)
    if panel.as_map:
        _draw_map(panel, axes, scale)
        return figure
    _draw(panel, axes, scale)
    remark = "\n".join(filter(None, (panel.note, _scale_y(panel, axes))))
    axes.set_ylabel(panel.title)
    _draw_marks(panel, axes, scale)
    _legend(panel, axes)
    if remark:
        axes.text(0.985, 0.97, remark, transform=axes.transAxes, fontsize=font(7.5), color=grey(), ha="right", va="top")
    return figure


def _draw(panel: Panel, axes: Axes, scale: float) -> None:
    from tuitrain.export.lines import thin
    from tuitrain.export.marks import alone
    from tuitrain.export.style import grey, run_style

    several = len({run for each in panel.lines if (run := _run_of(each.role)) is not None}) > 1
    for each in panel.lines:
        run = _run_of(each.role)
        rows = panel.in_sight(each.x)
        x, y = each.x[rows] / scale, each.y[rows]
        if panel.log_y:
            y = np.where(y > 0, y, np.nan)
        width = {"linewidth": 0.7, "alpha": 0.35, "zorder": 2} if each.role.endswith(".faint") else {"zorder": 4}
        style = run_style(run) if several and run is not None else {"color": _colour(each.role)}
        axes.plot(*thin(x, y), label=each.name or "_", **style, **width, **alone(int(rows.sum())))
        if each.std is not None:
            std = each.std[rows]
            axes.fill_between(x, y - std, y + std, color=_colour(each.role), alpha=0.18, linewidth=0, zorder=2)
        _mark_non_finite(axes, x, each.y[rows])
    for stars in panel.stars:
        rows = panel.in_sight(stars.x)
        axes.scatter(
            stars.x[rows] / scale, stars.y[rows], marker="*", s=42, color=_colour(stars.role), zorder=5,
            edgecolors=axes.get_facecolor(), linewidths=0.5, label=stars.name or "_",
        )  # fmt: skip
    for level, name in panel.levels:
        axes.axhline(level, color=grey(), linewidth=1.0, linestyle=(0, (5, 2)), zorder=3, label=name or "_")


def _draw_marks(panel: Panel, axes: Axes, scale: float) -> None:
    """What happened, at the foot of the chart; where a run was resumed a line goes up from there."""
    from tuitrain.export.style import curve_colour, grey, pale

    for kind, (sign, name) in MARKS.items():
        places = np.array([x for x, of_kind in panel.marks if of_kind == kind])
        places = places[panel.in_sight(places)] / scale
        if not len(places):
            continue
        colour = curve_colour(1) if kind == "alert" else grey()
        hollow: dict[str, Any] = {"facecolors": "none", "edgecolors": colour} if kind == "eval" else {"color": colour}
        axes.scatter(
            places, np.full(len(places), 0.025), marker=sign, s=20, linewidths=0.5, zorder=6, label=name,
            transform=axes.get_xaxis_transform(), **hollow,
        )  # fmt: skip
        if kind == "restart":
            axes.vlines(places, 0, 1, transform=axes.get_xaxis_transform(), color=pale(), linewidth=0.8, zorder=1)


def _draw_map(panel: Panel, axes: Axes, scale: float) -> None:
    """Rows over x as colours, logarithmic where every value is above zero."""
    from matplotlib.colors import LogNorm

    from tuitrain.export.style import tick_text

    rows = panel.in_sight(panel.lines[0].x)
    x = panel.lines[0].x[rows] / scale
    values = np.array([each.y[rows] for each in panel.lines])
    finite = values[np.isfinite(values)]
    norm = LogNorm(float(finite.min()), float(finite.max())) if len(finite) and finite.min() > 0 else None
    mesh = axes.pcolormesh(
        x, np.arange(len(panel.lines)), values, norm=norm, cmap="cividis", shading="nearest", rasterized=True
    )
    axes.figure.colorbar(mesh, ax=axes, pad=0.01)
    axes.grid(False)
    every = max(1, -(-len(panel.lines) // 16))
    axes.set_yticks(range(0, len(panel.lines), every), [tick_text(each.name) for each in panel.lines[::every]])


def _mark_non_finite(axes: Axes, x: FloatArray, y: FloatArray) -> None:
    """A cross at the foot for each nan or inf; of more than 500 every so many-th."""
    from tuitrain.export.style import curve_colour

    bad = ~np.isfinite(y)
    if bad.any():
        shown = x[bad][:: -(-int(bad.sum()) // 500)]
        axes.scatter(
            shown, np.zeros(len(shown)), marker="x", s=18, color=curve_colour(1), linewidths=1.0, clip_on=False,
            zorder=6, transform=axes.get_xaxis_transform(), label=f"nan or inf ({int(bad.sum()):,})",
        )  # fmt: skip


def _run_of(role: str) -> int | None:
    """The number of the run that a role belongs to."""
    run = role.partition(".")[0].removeprefix("run")
    return int(run) if role.startswith("run") and run.isdigit() else None


def _colour(role: str) -> str:
    from tuitrain.export.style import curve_colour, grey

    if (run := _run_of(role)) is not None:
        return curve_colour(run)
    return curve_colour(1) if role == "val" else grey()


def _scale_x(panel: Panel, axes: Axes) -> float:
    """Ticks and label of the x axis; returns what its numbers are divided by."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    from tuitrain.export.style import format_x, time_unit

    if panel.x_axis == "clock":
        axes.xaxis_date()
        locator = AutoDateLocator(minticks=4, maxticks=8)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.set_xlabel("clock, UTC")
        # Matplotlib counts days since 1970.
        return 86400.0
    label, scale = X_LABELS.get(panel.x_axis, panel.x_axis), 1.0
    if panel.x_axis == "time":
        unit, scale = time_unit(max((float(x.max()) for x in _shown_x(panel)), default=0.0))
        label = f"{label}, {unit}"
    axes.set_xlabel(label)
    if panel.log_x:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=panel.x_axis == "step"))
    if panel.x_axis in ("step", "tokens", "flops", "time"):
        format_x(panel.x_axis, axes.xaxis)  # type: ignore[arg-type]
    if panel.zoom is not None:
        axes.set_xlim(panel.zoom[0] / scale, panel.zoom[1] / scale)
    return scale


def _shown_x(panel: Panel) -> list[FloatArray]:
    return [x for part in panel.parts if len(x := part.x[panel.in_sight(part.x)])]


def _scale_y(panel: Panel, axes: Axes) -> str:
    """Range and ticks of the y axis; returns what it leaves out, in words."""
    from tuitrain.export.lines import level_limits
    from tuitrain.export.style import ScaledFormatter

    if panel.log_y:
        axes.set_yscale("log", nonpositive="mask")
        return ""
    if max((abs(limit) for limit in axes.get_ylim()), default=0.0) >= 1000:
        axes.yaxis.set_major_formatter(ScaledFormatter())
    limits = level_limits(*_shown_y(panel), *_edges(panel)) if panel.clip else None
    if limits is not None:
        above = sum(int((y[np.isfinite(y)] > limits.high).sum()) for y in _shown_y(panel))
        below = sum(int((y[np.isfinite(y)] < limits.low).sum()) for y in _shown_y(panel))
        limits = replace(limits, above=above, below=below)
    if limits is not None:
        axes.set_ylim(limits.low, limits.high)
    elif panel.from_zero:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        if axes.get_ylim()[0] < 0 and all((y[np.isfinite(y)] >= 0).all() for y in _shown_y(panel)):
            axes.set_ylim(bottom=0.0)
    return f"{limits.note} the range" if limits is not None and limits.note else ""


def _shown_y(panel: Panel) -> Sequence[FloatArray]:
    return [part.y[panel.in_sight(part.x)] for part in panel.parts]


def _edges(panel: Panel) -> list[FloatArray]:
    """Where bands end, which the vertical range holds like points, but which are none."""
    bands = [(each, each.std) for each in panel.lines if each.std is not None]
    return [(each.y + sign * std)[panel.in_sight(each.x)] for each, std in bands for sign in (-1, 1)]


def _legend(panel: Panel, axes: Axes) -> None:
    """In the order of the runs, in one line beside the title where it fits, else to the right of the chart."""
    from tuitrain.export.marks import legend
    from tuitrain.export.style import font

    handles, names = axes.get_legend_handles_labels()
    runs = {each.name: run for each in panel.parts if (run := _run_of(each.role)) is not None}
    order = sorted(range(len(names)), key=lambda at: runs.get(names[at], len(names)))
    handles, names = [handles[at] for at in order], [names[at] for at in order]
    if sum(map(len, names)) + len(panel.title) + 6 * len(names) <= 90:
        legend(axes, handles, names)
    else:
        axes.legend(
            handles, names, loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=-(-len(names) // _ROWS_IN_LEGEND),
            fontsize=font(7.5),
        )  # fmt: skip
